// Package house holds the rules of this repository as tests: who may import whom, what a dry room may
// not touch, and how a package presents itself.
//
// It never runs in production and nothing imports it: it is tests only, and this page.
//
// Each rule is a pure function from text to violations (order_test.go, imports_test.go, dry_test.go, shape_test.go). It
// is tested twice: on planted violations, so that it is known to be able to fail, and on the
// tree (house_test.go). A new edge between rooms is a design decision: it is made in ARCHITECTURE.md and in the
// order text of house_test.go, in the same commit.
//
// The form of the order text is that of Go's own go/build/deps_test.go.
package house
