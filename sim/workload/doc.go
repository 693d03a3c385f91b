// Package workload makes transfers: seeded traffic for the simulator, the benchmarks and the demo, and the real
// payments of the Berka data set.
//
// It never submits anything: it returns values. The same seed gives the same transfers.
//
// The Berka data: anonymised records of a Czech bank, released for the PKDD'99 Discovery Challenge by P. Berka and
// M. Sochorova. examples/berka/README.md says how a row becomes a transfer.
package workload
