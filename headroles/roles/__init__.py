"""What does a head speak of?"""
