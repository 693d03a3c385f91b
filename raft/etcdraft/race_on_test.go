//go:build race

package etcdraft_test

// raceDetector makes everything ten times slower, and there is one goroutine anyway: fewer seeds will do.
const raceDetector = true
