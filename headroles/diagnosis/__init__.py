"""Is this model read exactly?"""
