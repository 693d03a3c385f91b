// Package sim is a seeded world around lanes: networks, disks, clocks and clients that misbehave, and the judges who watch.
//
// It never touches the real world: one seed decides everything, and the same seed gives the same trace. It is the second
// host of package lane, beside package node: it runs the production lanes and repeats node's duties over a
// simulated network (network.go), disk (disk.go) and clock (clock.go).
//
// Each judge is one file: check_money.go, check_answers.go, check_bank.go, check_raft.go, check_end.go. A run ends with the first promise
// that is found broken, or, after faults have ended and everything has settled, with none.
//
// What it doesn't do yet: damaged bytes, full disks, failing syncs that are not crashes, membership changes, mixed versions,
// foreign banks, clocks that jump backwards while a node runs (production reads a monotonic clock there).
//
// Sources: the method is that of FoundationDB (Zhou et al., "FoundationDB: A Distributed Unbundled Transactional Key
// Value Store", SIGMOD 2021, §4).
package sim
