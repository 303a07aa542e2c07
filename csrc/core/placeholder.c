int cairn_placeholder(void); int cairn_placeholder(void) { return 0; }
