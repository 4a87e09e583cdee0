"""What discriminators see instead of images where there are few: ADA and DiffAugment, pure functions of their draws.

How strong ADA is, and when it is applied, is the affair of training/.
"""
