"""Coupons: what is promised to members, issued once for each reason, and redeemed once."""
