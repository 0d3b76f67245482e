"""The coordinator: watches every saga, asks for what must be undone, keeps time; decides by ``sagastream.saga``."""
