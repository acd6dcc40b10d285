//! An arena over any backing allocator: free everything at once.
