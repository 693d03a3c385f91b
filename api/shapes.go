package api

import "time"

// The JSON shapes of the HTTP face. Amounts are strings of digits: a JSON number may lose them on the way.

type transferSpecJSON struct {
	_ struct{} `additionalProperties:"false"`

	ID        string    `json:"id,omitempty" format:"uuid" doc:"Chosen and kept by the client, so that asking again can't move the money twice. Without it the Idempotency-Key counts, and beside it that must stand for the same id; without both the server makes one."`
	Legs      []legJSON `json:"legs" minItems:"2" maxItems:"256" nullable:"false" doc:"Per currency, debits equal credits."`
	TimeoutMS *int64    `json:"timeout_ms,omitempty" minimum:"1" maximum:"3600000" doc:"How long the banks have to prepare. 10000 if unset. Not part of the content."`
	Reference string    `json:"reference,omitempty" maxLength:"256" doc:"Free text of at most 256 bytes, printed on statements."`

	Hold          bool   `json:"hold,omitempty" doc:"Reserve the legs at all banks, or at none, and wait for a capture."`
	HoldTimeoutMS *int64 `json:"hold_timeout_ms,omitempty" minimum:"1" maximum:"2592000000" doc:"With hold: how long the client has to capture it before it is voided. Longer than timeout_ms; 7 days if unset. Not part of the content."`
}

type legJSON struct {
	_ struct{} `additionalProperties:"false"`

	Bank        string `json:"bank" example:"HOME"`
	Account     string `json:"account" example:"alice"`
	Direction   string `json:"direction" enum:"debit,credit" doc:"Seen from the account."`
	AmountMinor string `json:"amount_minor" pattern:"^[0-9]{1,19}$" example:"1050" doc:"Minor units of the currency, above zero: 1050 is 10.50 CZK."`
	Currency    string `json:"currency" example:"CZK" doc:"ISO 4217, in capitals."`
}

type transferJSON struct {
	ID        string      `json:"id" format:"uuid"`
	State     string      `json:"state" enum:"pending,held,committed,aborted" doc:"A decided transfer never changes. held: every bank has reserved it, and its client has to capture or to void it."`
	Reason    *reasonJSON `json:"reason,omitempty" doc:"Why it was aborted."`
	Settled   bool        `json:"settled" doc:"Every bank has confirmed the outcome: it is posted everywhere."`
	Legs      []legJSON   `json:"legs" nullable:"false"`
	Reference string      `json:"reference"`
	CreatedAt *time.Time  `json:"created_at,omitempty"`
	DecidedAt *time.Time  `json:"decided_at,omitempty"`
	HoldUntil *time.Time  `json:"hold_until,omitempty" doc:"Of a hold: when it is voided unless it was captured."`
	Captured  []string    `json:"captured_minor,omitempty" nullable:"false" doc:"Of a hold that was captured in part: one for each leg."`
	Stale     bool        `json:"stale,omitempty" doc:"The read was to be stale: more may have happened meanwhile."`
}

type reasonJSON struct {
	Code   string `json:"code" example:"insufficient_funds" doc:"Stable. There may be new ones."`
	Bank   string `json:"bank,omitempty" doc:"The bank that said no, if one did."`
	Detail string `json:"detail" doc:"For people."`

	Shortfall *shortfallJSON `json:"shortfall,omitempty" doc:"With insufficient_funds: the values, for programs. Absent if the bank didn't say."`
}

type shortfallJSON struct {
	Account        string `json:"account" example:"alice"`
	Currency       string `json:"currency" example:"CZK"`
	AvailableMinor string `json:"available_minor" example:"500" doc:"What the account could spend at that moment: posted − held + overdraft."`
	NeededMinor    string `json:"needed_minor" example:"1050"`
}

type accountSpecJSON struct {
	_ struct{} `additionalProperties:"false"`

	ID             string `json:"id" example:"alice" doc:"1 to 64 characters of A-Z a-z 0-9 . _ - : with an optional @ in front, which marks a house account; neither . nor .. alone."`
	Currency       string `json:"currency" example:"CZK"`
	OverdraftMinor string `json:"overdraft_minor,omitempty" pattern:"^[0-9]{1,19}$" doc:"How far below zero the account may go. 0 if unset."`
	Unlimited      bool   `json:"unlimited,omitempty" doc:"No overdraft limit at all, as house accounts need."`
}

type accountJSON struct {
	ID             string `json:"id"`
	Bank           string `json:"bank"`
	Currency       string `json:"currency"`
	Status         string `json:"status" enum:"open,frozen,closed"`
	PostedMinor    string `json:"posted_minor" doc:"The sum of the account's entries."`
	HeldMinor      string `json:"held_minor" doc:"Debits that are prepared and not yet posted: undecided, or decided some milliseconds ago."`
	IncomingMinor  string `json:"incoming_minor" doc:"Credits that are prepared and not yet posted: undecided, or decided some milliseconds ago."`
	AvailableMinor string `json:"available_minor,omitempty" doc:"What the next debit may use: posted − held + overdraft. Absent if unlimited."`
	OverdraftMinor string `json:"overdraft_minor"`
	Unlimited      bool   `json:"unlimited"`
}

type entryJSON struct {
	Seq          uint64     `json:"seq" doc:"From 1, without gaps, per bank."`
	TransferID   string     `json:"transfer_id"`
	Account      string     `json:"account"`
	Currency     string     `json:"currency"`
	AmountMinor  string     `json:"amount_minor" doc:"A debit is negative."`
	BalanceMinor string     `json:"balance_minor" doc:"The account's posted balance after this entry."`
	PostedAt     *time.Time `json:"posted_at,omitempty"`
	Reference    string     `json:"reference"`
}

type auditJSON struct {
	Bank      string      `json:"bank"`
	Totals    []totalJSON `json:"totals" nullable:"false"`
	OpenHolds uint64      `json:"open_holds"`
	LastEntry uint64      `json:"last_entry" doc:"The newest journal entry that the totals contain."`
}

type totalJSON struct {
	Currency      string `json:"currency"`
	PostedMinor   string `json:"posted_minor"`
	HeldMinor     string `json:"held_minor"`
	IncomingMinor string `json:"incoming_minor"`
	Accounts      uint64 `json:"accounts"`
}

type pageJSON[T any] struct {
	Data       []T    `json:"data" nullable:"false"`
	HasMore    bool   `json:"has_more"`
	NextCursor string `json:"next_cursor,omitempty" doc:"The cursor of the next page."`
}

type statusJSON struct {
	Cluster       string            `json:"cluster"`
	Node          uint64            `json:"node"`
	Version       string            `json:"version"`
	StartedAt     *time.Time        `json:"started_at,omitempty"`
	Groups        []groupStatusJSON `json:"groups" nullable:"false"`
	Banks         []bankStatusJSON  `json:"banks" nullable:"false"`
	InFlight      int               `json:"in_flight" doc:"Transfers that this node coordinates now."`
	InDoubt       int               `json:"in_doubt" doc:"Of those: staged, outcome not yet known."`
	Committed     uint64            `json:"committed" doc:"Decided by this node since it started."`
	Aborted       uint64            `json:"aborted"`
	LastSyncP99US int64             `json:"last_sync_p99_us" doc:"How long the latest synced writes took, 99th percentile, in microseconds."`
	DiskFull      bool              `json:"disk_full" doc:"The disk is nearly full: this node begins nothing new until there is space."`
	DiskFreeBytes uint64            `json:"disk_free_bytes" doc:"What the disk of its data directory has left. 0: it doesn't say."`
}

type groupStatusJSON struct {
	Group   string   `json:"group"`
	Role    string   `json:"role"`
	Leader  uint64   `json:"leader" doc:"0: unknown."`
	Term    uint64   `json:"term"`
	Commit  uint64   `json:"commit"`
	Applied uint64   `json:"applied"`
	Members []uint64 `json:"members" nullable:"false"`
}

type bankStatusJSON struct {
	ID      string   `json:"id"`
	Nodes   []uint64 `json:"nodes" nullable:"false"`
	Leader  uint64   `json:"leader" doc:"0: unknown."`
	Up      bool     `json:"up"`
	Breaker string   `json:"breaker" enum:"closed,open,half_open" doc:"Whether the coordinators on this node give it new transfers: closed (yes), open (no), half_open (one, to find out)."`
}
