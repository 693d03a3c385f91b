// Package sim is a seeded world around lanes: networks, disks, clocks and clients that misbehave, and the judges who watch.
//
// It never touches the real world: one seed decides everything, and the same seed gives the same trace. It is the second
// host of package lane, beside package node: it runs the production lanes and repeats node's duties over a
// simulated network (network.go), disk (disk.go) and clock (clock.go).
//
// Each judge is one file, check_*.go. A run ends with the first promise that is found broken, or, after faults have ended and everything has
// settled, with none.
//
// The faults stand in faults.go, with their names and strengths; the nemesis brings those that are no matter of single messages. A run
// that breaks a promise can be shrunk to fewer faults (shrink.go) and kept as a schedule (schedule.go). docs/simulator.md shows how.
//
// Sources: the method is that of FoundationDB (Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key
// Value Store", SIGMOD 2021, §4).
package sim
