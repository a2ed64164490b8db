"""The article's claims, one file each: what is asked, how it is measured, and the rule of the verdict."""
