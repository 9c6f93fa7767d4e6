"""The centre: takes in what the boxes counted, joins it with sales and members, and answers for it."""
