"""`doorline demo`: a whole chain on one machine, with a believable past and a present that is really counted."""
