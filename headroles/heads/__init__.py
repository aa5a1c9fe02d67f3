"""What does a head write, and what if it does not?"""
