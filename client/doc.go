// Package client talks to a Quorate cluster from Go.
//
// It never decides that a transfer has failed because an answer was lost: it asks again, at another node if need be,
// with the same id, and a cluster carries out an id once. What it can't find out before its
// context ends it reports as an OutcomeUnknownError that holds the id.
//
// The caller's duties:
//
//  1. Give every call a context that ends: until then the client goes on trying.
//  2. Choose the id of a transfer (NewID) and keep it where a crash can't take it, before submitting. After a
//     crash, submit again with that id.
//  3. Look at Record.State: an aborted transfer is an answer, not an error.
//
// One client is enough for a program, whatever the number of its goroutines: calls of Transfer share streams, and there is nothing to tune. Tests
// get a real cluster from package quoratetest.
//
// Errors wrap a *transfer.Error: errors.Is(err, transfer.ErrIDConflict) works, and the kind says what can be done.
package client
