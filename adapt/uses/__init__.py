"""Which heads does a task use, and do their roles foretell it?"""
