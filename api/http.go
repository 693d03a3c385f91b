package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/quorate/quorate/bank"
	"github.com/quorate/quorate/transfer"
)

// register names every operation of the HTTP face, for the router and for the OpenAPI document.
func (w *web) register(api huma.API) {
	add(w, api, http.MethodPost, "/v1/transfers", "submitTransfer", "Submit a transfer and wait for its outcome", http.StatusCreated, w.submitTransfer)
	add(w, api, http.MethodGet, "/v1/transfers/{id}", "getTransfer", "What is known of a transfer", http.StatusOK, w.getTransfer)
	addVerb(w, api, "/v1/transfers/{id}", "cancel", "cancelTransfer", "Abort a transfer unless it is too late, and wait for what became of it", w.cancelTransfer)
	w.registerHolds(api)
	add(w, api, http.MethodPost, "/v1/banks/{bank}/accounts", "openAccount", "Open an account, or find it with the same terms", http.StatusCreated, w.openAccount)
	add(w, api, http.MethodGet, "/v1/banks/{bank}/accounts", "listAccounts", "List accounts by id", http.StatusOK, w.listAccounts)
	add(w, api, http.MethodGet, "/v1/banks/{bank}/accounts/{id}", "getAccount", "Read one account", http.StatusOK, w.getAccount)
	w.registerAccounts(api)
	w.registerTokens(api)
	w.registerLists(api)
	w.registerEvents(api)
	add(w, api, http.MethodGet, "/v1/banks/{bank}/entries", "listEntries", "List a bank's journal in its order", http.StatusOK, w.listEntries)
	add(w, api, http.MethodGet, "/v1/banks/{bank}/audit", "auditBank", "A bank's totals, all at one moment", http.StatusOK, w.auditBank)
	add(w, api, http.MethodGet, "/v1/status", "getStatus", "What this node knows of the cluster", http.StatusOK, w.getStatus)
	add(w, api, http.MethodGet, "/v1/cluster/members", "listMembers", "List every node that there ever was", http.StatusOK, w.listMembers)
	add(w, api, http.MethodPost, "/v1/cluster:addMember", "addMember", "Let a node in, as a learner", http.StatusNoContent, w.addMember)
	add(w, api, http.MethodPost, "/v1/cluster:promoteMember", "promoteMember", "Let a learner vote that has caught up", http.StatusNoContent, w.promoteMember)
	add(w, api, http.MethodPost, "/v1/cluster:removeMember", "removeMember", "Take a node out of all its groups, for ever", http.StatusNoContent, w.removeMember)
	add(w, api, http.MethodPost, "/v1/cluster:placeBank", "placeBank", "Move a bank's replicas to other members", http.StatusNoContent, w.placeBank)
	add(w, api, http.MethodPost, "/v1/cluster:transferLeader", "transferLeader", "Have another voter lead a group", http.StatusNoContent, w.transferLeader)
	document(api)
}

// verbPath is how the router knows a verb of a path: it can't match within a segment. serve leads "…:verb" there (splitVerb).
func verbPath(path, verb string) string { return path + "/:" + verb }

// nameVerb has the document say what clients say: path:verb.
func nameVerb(api huma.API, path, verb string) {
	paths := api.OpenAPI().Paths
	paths[path+":"+verb] = paths[verbPath(path, verb)]
	delete(paths, verbPath(path, verb))
}

// operation is how one is told to the router and the document. Who may not ask for it is refused here.
func (w *web) operation(method, path, id, summary string, status int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary, DefaultStatus: status,
		SkipValidateBody: true, // UnmarshalStrict and Validate give exacter codes
		BodyReadTimeout:  -1,   // the body is here already
		Middlewares: huma.Middlewares{func(c huma.Context, next func(huma.Context)) {
			if err := w.door.may(c.Context(), id, c.Param("bank")); err != nil {
				w.door.note(c.Context(), id, c.URL().Path, err)
				w.door.count.answered(id, time.Now(), err)
				writeProblemTo(c, problemOf(c.Context(), err, 0))
				return
			}
			next(c)
		}},
	}
}

// add registers one operation. What it answers with instead of an output becomes a problem here.
func add[I, O any](w *web, api huma.API, method, path, id, summary string, status int, handle func(context.Context, *I) (*O, error)) {
	huma.Register(api, w.operation(method, path, id, summary, status), func(ctx context.Context, in *I) (*O, error) {
		began := time.Now()
		out, err := handle(ctx, in)
		w.door.note(ctx, id, pathOf(ctx), err)
		w.door.count.answered(id, began, err)
		if err != nil {
			w.guard.note(ctx, id, err)
			return nil, problemOf(ctx, err, 0)
		}
		return out, nil
	})
}

// newHuma makes the part that reads parameters and bodies and writes answers.
func newHuma(mux *http.ServeMux, version string) huma.API {
	config := huma.DefaultConfig("Quorate", version)
	config.Info.Description = aboutAll
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // routes serves the document itself
	config.CreateHooks = nil                                             // no $schema in answers
	config.RejectUnknownQueryParameters = true
	json := huma.Format{Marshal: writeJSON, Unmarshal: UnmarshalStrict}
	config.Formats = map[string]huma.Format{"application/json": json, "application/problem+json": json}
	return humago.New(mux, config)
}

type none struct{}

type body[T any] struct {
	Body T
}

type submitInput struct {
	Key    string `header:"Idempotency-Key" doc:"Stands for the id; if the body has one, too, both must be the same: a UUID is the id itself, any other string of at most 255 bytes is hashed to one: the first 16 bytes of the SHA-256 of the words quorate idempotency key, a line feed and the string, marked as a UUIDv8. Quoted or bare; once."`
	Prefer string `header:"Prefer" doc:"wait=N: answer after N seconds at the latest, with 202 if the outcome isn't known by then: ask at Location. While nobody knows the transfer there, it isn't accepted: submit it again, with the same id. Without it the answer waits for the outcome."`
	Body   transferSpecJSON
}

type submitOutput struct {
	Status   int
	Location string `header:"Location" doc:"Where the transfer can be read."`
	Applied  string `header:"Preference-Applied"`
	Body     transferJSON
}

func (w *web) submitTransfer(ctx context.Context, in *submitInput) (*submitOutput, error) {
	o := orderOfJSON(&in.Body, in.Key)
	wait, asked := preferredWait(in.Prefer)
	if !asked {
		record, err := w.desk.submit(ctx, o)
		if err != nil {
			return nil, err
		}
		return answerOf(&record), nil
	}
	record, err := w.submitAndWait(ctx, o, wait)
	if err != nil {
		return nil, err
	}
	out := answerOf(&record)
	out.Applied = fmt.Sprintf("wait=%d", int(wait.Seconds()))
	return out, nil
}

// answerOf is 201 for a transfer that has its outcome, aborted or not, and 202 for one that hasn't.
func answerOf(record *transfer.Record) *submitOutput {
	out := &submitOutput{Status: http.StatusCreated, Body: transferToJSON(record)}
	out.Location = "/v1/transfers/" + out.Body.ID
	if record.State == transfer.Pending {
		out.Status = http.StatusAccepted
	}
	return out
}

type transferInput struct {
	ID string `path:"id"`
}

const consistencyStale = "stale"

type getTransferInput struct {
	ID          string `path:"id"`
	Consistency string `query:"consistency" enum:"linearizable,stale" default:"linearizable" doc:"stale: what the asked node has applied, however old; needs no leader."`
}

func (w *web) getTransfer(ctx context.Context, in *getTransferInput) (*body[transferJSON], error) {
	get, stale := w.desk.transfer, in.Consistency == consistencyStale
	if stale {
		get = w.desk.staleTransfer
	}
	record, err := get(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := transferToJSON(&record)
	out.Stale = stale
	return &body[transferJSON]{out}, nil
}

func (w *web) cancelTransfer(ctx context.Context, in *transferInput) (*body[transferJSON], error) {
	record, err := w.desk.cancelTransfer(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &body[transferJSON]{transferToJSON(&record)}, nil
}

type openInput struct {
	Bank string `path:"bank"`
	Body accountSpecJSON
}

type openOutput struct {
	Location string `header:"Location" doc:"Where the account can be read."`
	Body     accountJSON
}

func (w *web) openAccount(ctx context.Context, in *openInput) (*openOutput, error) {
	terms, err := termsOfJSON(&in.Body)
	if err != nil {
		return nil, err
	}
	id := transfer.BankID(in.Bank)
	account, err := w.desk.openAccount(ctx, id, terms)
	if err != nil {
		return nil, err
	}
	return &openOutput{Location: "/v1/banks/" + in.Bank + "/accounts/" + string(account.ID), Body: accountToJSON(id, &account)}, nil
}

type accountInput struct {
	Bank string `path:"bank"`
	ID   string `path:"id"`
}

func (w *web) getAccount(ctx context.Context, in *accountInput) (*body[accountJSON], error) {
	id := transfer.BankID(in.Bank)
	account, err := w.desk.account(ctx, id, transfer.AccountID(in.ID))
	if err != nil {
		return nil, err
	}
	return &body[accountJSON]{accountToJSON(id, &account)}, nil
}

type pageInput struct {
	Bank   string `path:"bank"`
	Limit  int    `query:"limit" minimum:"1" default:"100" doc:"1 to 1000; 100 if unset; above 1000 is 1000."`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

func (w *web) listAccounts(ctx context.Context, in *pageInput) (*body[pageJSON[accountJSON]], error) {
	id := transfer.BankID(in.Bank)
	accounts, next, err := w.desk.accounts(ctx, id, in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	page := pageJSON[accountJSON]{Data: []accountJSON{}, HasMore: next != "", NextCursor: next}
	for i := range accounts {
		page.Data = append(page.Data, accountToJSON(id, &accounts[i]))
	}
	return &body[pageJSON[accountJSON]]{page}, nil
}

func (w *web) listEntries(ctx context.Context, in *pageInput) (*body[pageJSON[entryJSON]], error) {
	entries, next, err := w.desk.entries(ctx, transfer.BankID(in.Bank), in.Limit, in.Cursor)
	if err != nil {
		return nil, err
	}
	return pageOfEntries(entries, next), nil
}

func pageOfEntries(entries []bank.Entry, next string) *body[pageJSON[entryJSON]] {
	page := pageJSON[entryJSON]{Data: []entryJSON{}, HasMore: next != "", NextCursor: next}
	for i := range entries {
		page.Data = append(page.Data, entryToJSON(&entries[i]))
	}
	return &body[pageJSON[entryJSON]]{page}
}

type bankInput struct {
	Bank string `path:"bank"`
}

func (w *web) auditBank(ctx context.Context, in *bankInput) (*body[auditJSON], error) {
	id := transfer.BankID(in.Bank)
	audit, err := w.desk.audit(ctx, id)
	if err != nil {
		return nil, err
	}
	return &body[auditJSON]{auditToJSON(id, audit)}, nil
}

func (w *web) getStatus(ctx context.Context, _ *none) (*body[statusJSON], error) {
	view, err := w.desk.status(ctx)
	if err != nil {
		return nil, err
	}
	return &body[statusJSON]{statusToJSON(&view)}, nil
}
