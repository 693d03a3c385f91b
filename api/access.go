package api

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"github.com/quorate/quorate/transfer"
)

// Role is a set of what callers may do.
type Role uint8

// The roles. A caller may have several.
const (
	RoleSubmit  Role = 1 << iota // submit and cancel transfers, and read them
	RoleRead                     // everything that can be read
	RoleOperate                  // what an operator does every day, and read
	RoleAdmin                    // everything
)

var roleNames = []struct {
	name string
	role Role
}{{"submit", RoleSubmit}, {"read", RoleRead}, {"operate", RoleOperate}, {"admin", RoleAdmin}}

// ParseRoles reads the names of roles.
func ParseRoles(names []string) (roles Role, err error) {
next:
	for _, name := range names {
		for _, r := range roleNames {
			if r.name == name {
				roles |= r.role
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no role: submit, read, operate or admin", clip(name))
	}
	return roles, nil
}

func (r Role) String() string {
	var names []string
	for _, known := range roleNames {
		if r&known.role != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, " or ")
}

// reach says what an operation touches, and so what a caller may do who is bound to some banks.
type reach uint8

const (
	unbound  reach = iota // everything: only callers who are bound to no bank
	oneBank               // the bank that the request names, as "bank"
	itsLegs               // the banks of a transfer: the desk looks at them
	noMoney               // nothing of any bank
	everyone              // nothing, and nobody has to say who they are
)

// grant says who may ask for an operation.
type grant struct {
	roles Role // one of these is enough; Admin may do everything
	reach reach
	audit bool // it changes how the cluster is, not only who has what: who asked for it is logged
}

// grants is the one table, for both faces. An operation is called as in the OpenAPI document; a method of gRPC goes by the same
// name. What has no line here is refused.
var grants = map[string]grant{
	"submitTransfer":  {RoleSubmit, itsLegs, false},
	"submitTransfers": {RoleSubmit, itsLegs, false},
	"captureTransfer": {RoleSubmit, itsLegs, false},
	"voidTransfer":    {RoleSubmit, itsLegs, false},
	"streamTransfers": {RoleSubmit, itsLegs, false},
	"cancelTransfer":  {RoleSubmit, itsLegs, false},
	"getTransfer":     {RoleSubmit | RoleRead | RoleOperate, itsLegs, false},
	"listTransfers":   {RoleRead | RoleOperate, itsLegs, false},
	"watchTransfers":  {RoleRead | RoleOperate, itsLegs, false},
	"listInDoubt":     {RoleRead | RoleOperate, unbound, false},
	"listBanks":       {RoleSubmit | RoleRead | RoleOperate, noMoney, false},
	"openAccount":     {RoleOperate, oneBank, true},
	"freezeAccount":   {RoleOperate, oneBank, true},
	"unfreezeAccount": {RoleOperate, oneBank, true},
	"closeAccount":    {RoleOperate, oneBank, true},
	"setAccountLimit": {RoleOperate, oneBank, true},
	"getAccount":      {RoleRead | RoleOperate, oneBank, false},
	"listAccounts":    {RoleRead | RoleOperate, oneBank, false},
	"getStatement":    {RoleRead | RoleOperate, oneBank, false},
	"listEntries":     {RoleRead | RoleOperate, oneBank, false},
	"auditBank":       {RoleRead | RoleOperate, oneBank, false},
	"getStatus":       {RoleSubmit | RoleRead | RoleOperate, noMoney, false},

	"listMembers":    {RoleRead | RoleOperate, noMoney, false},
	"transferLeader": {RoleOperate, unbound, true},
	"addMember":      {RoleAdmin, unbound, true},
	"promoteMember":  {RoleAdmin, unbound, true},
	"removeMember":   {RoleAdmin, unbound, true},
	"placeBank":      {RoleAdmin, unbound, true},

	"createToken": {RoleAdmin, unbound, true},
	"listTokens":  {RoleOperate, unbound, false},
	"revokeToken": {RoleAdmin, unbound, true},

	"holdCommits":   {RoleOperate, unbound, true}, // a backup, or a verification
	"cutGroup":      {RoleAdmin, unbound, true},
	"hashReplica":   {RoleOperate, unbound, false},
	"scanReplica":   {RoleOperate, unbound, true},
	"examineGroup":  {RoleOperate, unbound, false},
	"findTransfers": {RoleOperate, unbound, false},

	// What isn't ours: gRPC's own services, and paths of the HTTP face without an operation.
	"grpc.health.v1.Health":        {0, everyone, false},
	"grpc.reflection.v1":           {RoleSubmit | RoleRead | RoleOperate, noMoney, false},
	"grpc.reflection.v1alpha":      {RoleSubmit | RoleRead | RoleOperate, noMoney, false},
	"/livez":                       {0, everyone, false},
	"/readyz":                      {0, everyone, false},
	"/openapi.json":                {RoleSubmit | RoleRead | RoleOperate, noMoney, false},
	"/metrics":                     {RoleRead | RoleOperate, noMoney, false},
	"a path that leads to nothing": {RoleSubmit | RoleRead | RoleOperate, noMoney, false},
}

// operationOf is what the table calls a method of gRPC: /quorate.v1.TransferService/GetTransfer is getTransfer.
func operationOf(fullMethod string) string {
	service, method, _ := strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	switch {
	case strings.HasPrefix(service, "quorate.") && method != "":
		return strings.ToLower(method[:1]) + method[1:]
	case strings.HasPrefix(service, "grpc.reflection."):
		return strings.TrimSuffix(service, ".ServerReflection")
	}
	return service
}

// Caller is who asks.
type Caller struct {
	Name  string
	How   string // certificate or token
	Roles Role
	Banks []string // that it is bound to; empty: to none

	shown credential
}

// credential is what a caller has shown at the door: a token, or else its connection's certificate.
type credential struct {
	state         *tls.ConnectionState
	authorization []string
}

// may says why a caller may not ask for an operation; nil if it may. bank is the one that the request names, if it names one.
func (c *Caller) may(operation, bank string) error {
	g, known := grants[operation]
	switch {
	case !known:
		return fmt.Errorf("%w: nobody may ask for %s", transfer.ErrForbidden, clip(operation))
	case g.reach == everyone:
		return nil
	case c.Roles&(g.roles|RoleAdmin) == 0:
		return fmt.Errorf("%w: %s %q has the role %s, and %s needs %s", transfer.ErrForbidden, c.How, c.Name, orNone(c.Roles), operation, g.roles|RoleAdmin)
	case len(c.Banks) == 0 || g.reach == noMoney || g.reach == itsLegs:
		return nil
	case g.reach == oneBank && slices.Contains(c.Banks, bank):
		return nil
	case g.reach == oneBank:
		return c.outOfReach(bank)
	}
	return fmt.Errorf("%w: %s %q is bound to %s, and %s is about all banks", transfer.ErrForbidden, c.How, c.Name, c.boundTo(), operation)
}

func (c *Caller) outOfReach(bank string) error {
	return fmt.Errorf("%w: %s %q is bound to %s, and this is about bank %s", transfer.ErrForbidden, c.How, c.Name, c.boundTo(), clip(bank))
}

func (c *Caller) boundTo() string {
	if len(c.Banks) == 1 {
		return "bank " + c.Banks[0]
	}
	return "banks " + strings.Join(c.Banks, ", ")
}

func orNone(r Role) string {
	if r == 0 {
		return "none"
	}
	return strings.ReplaceAll(r.String(), " or ", " and ")
}

type callerKey struct{}

func withCaller(ctx context.Context, c *Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf is who asks; nil where nobody has to say it.
func callerOf(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// mayMove says why a caller may not have a transfer with these legs carried out: every leg must be at a bank of its own.
func mayMove(ctx context.Context, legs []transfer.Leg) error {
	c := callerOf(ctx)
	if c == nil || len(c.Banks) == 0 {
		return nil
	}
	for i := range legs {
		if !slices.Contains(c.Banks, string(legs[i].Bank)) {
			return c.outOfReach(string(legs[i].Bank))
		}
	}
	return nil
}

// maySee says why a caller may not see a transfer: one leg at a bank of its own is enough.
func maySee(ctx context.Context, record *transfer.Record) error {
	c := callerOf(ctx)
	if c == nil || len(c.Banks) == 0 || len(record.Transfer.Legs) == 0 {
		return nil
	}
	for i := range record.Transfer.Legs {
		if slices.Contains(c.Banks, string(record.Transfer.Legs[i].Bank)) {
			return nil
		}
	}
	return c.outOfReach(string(record.Transfer.Legs[0].Bank))
}

// mayList says why a caller may not see all transfers that touch a bank; no bank stands for all of them.
func mayList(ctx context.Context, bank transfer.BankID) error {
	c := callerOf(ctx)
	if c == nil || len(c.Banks) == 0 || slices.Contains(c.Banks, string(bank)) {
		return nil
	}
	if bank == "" {
		return fmt.Errorf("%w: %s %q is bound to %s, and this is about all banks; name one as bank", transfer.ErrForbidden, c.How, c.Name, c.boundTo())
	}
	return c.outOfReach(string(bank))
}
