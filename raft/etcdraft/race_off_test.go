//go:build !race

package etcdraft_test

// raceDetector is off: all the seeds run.
const raceDetector = false
