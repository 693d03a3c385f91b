// Command chaos runs a cluster of real `quorate server` processes, lets money flow through it with the Go SDK, breaks
// it by a seeded schedule, and holds what the clients were told against what the cluster says afterwards. It never looks inside a
// server: what a client, an operator or the kernel can see is all it judges by.
//
//	go run ./test/chaos --for 30m
//
// docs/chaos.md says what is broken, what is judged, and how a run is read.
package main
