//! The deadlines of one machine: one enum, one array, one earliest deadline.
