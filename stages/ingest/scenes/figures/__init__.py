"""What can be drawn: figures made of shapes, in metres, standing on the ground at y = 0 and facing +x."""
