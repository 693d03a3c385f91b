package replica

// CutRecords is for the fuzzer: behind the checksum it would hardly ever get there.
var CutRecords = cutRecords
