//! Renders the findings of alloc-gpa for people and tools; home of the program alloc-check.
