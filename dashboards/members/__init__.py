"""HQ's pages for members: rules of tiers and points, coupons, stored value, the form, and what members are worth."""
