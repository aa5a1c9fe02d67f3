"""What can roles do for me?"""
