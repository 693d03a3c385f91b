// Command bench measures Quorate beside what a user would pick instead, in one run on one machine: two PostgreSQL driven by hand with
// PREPARE TRANSACTION, one PostgreSQL that does the whole transfer in one local transaction, three etcd (bare puts), and a dtm server
// if one is named. README.md says how to run it and what the figures mean.
//
// It never touches a process or a data directory that it didn't start itself. It is a module of its own, so that the libraries of rivals
// never become those of Quorate.
package main
