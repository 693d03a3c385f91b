package storage

// The decoders, for the fuzz test.
var (
	DecodeEntry     = decodeEntry
	DecodeHardState = decodeHardState
	DecodeIdentity  = decodeIdentity
	EntryBytes      = entryBytes
	PutEntry        = putEntry
	AppendHardState = appendHardState
	AppendIdentity  = appendIdentity
	AppendEntryKey  = appendEntryKey
	GroupPrefix     = groupPrefix
)
