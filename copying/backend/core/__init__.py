"""One writer: it journals commands, applies them, lets time pass, and writes records of what happened."""
