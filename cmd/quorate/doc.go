// Command quorate is Quorate's one program: a server, its client on the command line, and a demo.
//
// It never decides anything about money: commands read what was typed, ask a room and print the answer. Data goes to
// standard output and everything else to standard error, so that scripts can use what people read. What a
// failure is called and how the program exits comes from package api's one table, the same that HTTP and gRPC use.
//
// Each command has a file; output.go knows the formats, errors.go how a failure reads, json.go the
// objects, which are those of the HTTP API.
package main
