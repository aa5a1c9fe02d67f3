"""Are the roles true?"""
