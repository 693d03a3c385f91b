package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	quoratev1 "github.com/quorate/quorate/proto/quorate/v1"
	"github.com/quorate/quorate/transfer"
)

// Lists of transfers and banks, over both faces.

func (d *desk) transfers(ctx context.Context, q TransferQuery, token string) (records []transfer.Record, next string, err error) {
	if q.Limit, err = pageSize(q.Limit); err != nil {
		return nil, "", err
	}
	if q.Below, err = positionsOfToken(token); err != nil {
		return nil, "", err
	}
	if err := q.check(); err != nil {
		return nil, "", err
	}
	if err := mayList(ctx, q.Bank); err != nil {
		return nil, "", err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	page, err := d.backend.Transfers(ctx, q)
	if err != nil || !page.More {
		return page.Records, "", err
	}
	return page.Records, tokenOfPositions(page.Below), nil
}

// check refuses filters that nothing can ever match.
func (q *TransferQuery) check() error {
	if q.Bank != "" {
		if err := checkBank(q.Bank); err != nil {
			return err
		}
	}
	if q.Account != "" {
		if err := transfer.ValidateName(string(q.Account)); err != nil {
			return fmt.Errorf("account: %w", err)
		}
	}
	if len(q.Reference) > transfer.ReferenceBytesMax {
		return fmt.Errorf("%w: got %d bytes", transfer.ErrInvalidReference, len(q.Reference))
	}
	return checkPeriod(q.Since, q.Until)
}

func checkPeriod(since, until time.Time) error {
	for _, t := range []time.Time{since, until} {
		if _, err := checkTime(t); err != nil && !t.IsZero() {
			return err
		}
	}
	if !since.IsZero() && !until.IsZero() && until.Before(since) {
		return fmt.Errorf("%w: the period ends at %s, before it begins at %s", transfer.ErrInvalidRequest, until.Format(time.RFC3339), since.Format(time.RFC3339))
	}
	return nil
}

// positionsMax is how many coordinator groups a cluster can have at most.
const positionsMax = 64

func tokenOfPositions(below []uint64) string { return tokenOf(ofTransfers, joinPositions(below)) }

func joinPositions(numbers []uint64) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(words, ",")
}

func positionsOfToken(token string) ([]uint64, error) {
	if token == "" {
		return nil, nil
	}
	key, err := keyOf(ofTransfers, token)
	if err != nil {
		return nil, err
	}
	return parsePositions(token, key)
}

func parsePositions(token, key string) (numbers []uint64, err error) {
	words := strings.Split(key, ",")
	if len(words) > positionsMax {
		return nil, badToken(token)
	}
	numbers = make([]uint64, len(words))
	for i, word := range words {
		if numbers[i], err = strconv.ParseUint(word, 10, 64); err != nil {
			return nil, badToken(token)
		}
	}
	if joinPositions(numbers) != key { // 07 is 7, too
		return nil, badToken(token)
	}
	return numbers, nil
}

func (d *desk) inDoubt(ctx context.Context, size int) ([]Doubt, error) {
	limit, err := pageSize(size)
	if err != nil {
		return nil, err
	}
	ctx, cancel := withDefaultTimeout(ctx, readTimeout)
	defer cancel()
	return d.backend.InDoubt(ctx, limit)
}

// gRPC

func (s *transferService) ListTransfers(ctx context.Context, r *quoratev1.ListTransfersRequest) (*quoratev1.ListTransfersResponse, error) {
	q := TransferQuery{
		Bank: transfer.BankID(r.GetBank()), Account: transfer.AccountID(r.GetAccount()), Reference: r.GetReference(), Limit: int(r.GetPageSize()),
	}
	var err error
	if q.State, err = stateOfProto(r.GetState()); err != nil {
		return nil, err
	}
	if q.Since, err = timeOfProto(r.GetSince()); err != nil {
		return nil, err
	}
	if q.Until, err = timeOfProto(r.GetUntil()); err != nil {
		return nil, err
	}
	records, next, err := s.desk.transfers(ctx, q, r.GetPageToken())
	if err != nil {
		return nil, err
	}
	out := &quoratev1.ListTransfersResponse{NextPageToken: next}
	for i := range records {
		out.Transfers = append(out.Transfers, protoOfRecord(&records[i]))
	}
	return out, nil
}

func stateOfProto(s quoratev1.TransferState) (transfer.State, error) {
	switch s {
	case quoratev1.TransferState_TRANSFER_STATE_UNSPECIFIED:
		return 0, nil
	case quoratev1.TransferState_TRANSFER_STATE_PENDING:
		return transfer.Pending, nil
	case quoratev1.TransferState_TRANSFER_STATE_HELD:
		return transfer.Held, nil
	case quoratev1.TransferState_TRANSFER_STATE_COMMITTED:
		return transfer.Committed, nil
	case quoratev1.TransferState_TRANSFER_STATE_ABORTED:
		return transfer.Aborted, nil
	}
	return 0, fmt.Errorf("%w: transfer state %d", transfer.ErrInvalidRequest, s)
}

func (s *transferService) ListInDoubt(ctx context.Context, r *quoratev1.ListInDoubtRequest) (*quoratev1.ListInDoubtResponse, error) {
	doubts, err := s.desk.inDoubt(ctx, int(r.GetPageSize()))
	if err != nil {
		return nil, err
	}
	out := &quoratev1.ListInDoubtResponse{}
	for i := range doubts {
		doubt := &quoratev1.Doubt{Transfer: protoOfRecord(&doubts[i].Record)}
		for _, at := range doubts[i].Waiting {
			doubt.WaitingFor = append(doubt.WaitingFor, string(at))
		}
		out.Doubts = append(out.Doubts, doubt)
	}
	return out, nil
}

func (s *statusService) ListBanks(ctx context.Context, _ *quoratev1.ListBanksRequest) (*quoratev1.ListBanksResponse, error) {
	view, err := s.desk.status(ctx)
	if err != nil {
		return nil, err
	}
	return &quoratev1.ListBanksResponse{Banks: protoOfStatus(&view).GetBanks()}, nil
}

// HTTP

// registerLists names the lists of the cluster.
func (w *web) registerLists(api huma.API) {
	add(w, api, http.MethodGet, "/v1/transfers", "listTransfers", "List transfers from new to old", http.StatusOK, w.listTransfers)
	add(w, api, http.MethodGet, "/v1/in-doubt", "listInDoubt", "List transfers whose outcome isn't known yet, the oldest first", http.StatusOK, w.listInDoubt)
	add(w, api, http.MethodGet, "/v1/banks", "listBanks", "List the banks as this node sees them", http.StatusOK, w.listBanks)
}

type listTransfersInput struct {
	State     string    `query:"state" enum:"pending,held,committed,aborted"`
	Bank      string    `query:"bank" doc:"Has a leg at this bank."`
	Account   string    `query:"account" doc:"Has a leg of this account; with bank, of this account at that bank."`
	Reference string    `query:"reference" doc:"The whole of it."`
	Since     time.Time `query:"created[gte]" doc:"RFC 3339. From this moment on, by the coordinators' time."`
	Until     time.Time `query:"created[lt]" doc:"RFC 3339. Up to, but without, this moment."`
	Limit     int       `query:"limit" minimum:"1" default:"100" doc:"1 to 1000; 100 if unset; above 1000 is 1000. A page may have fewer, or none, and not be the last: has_more says."`
	Cursor    string    `query:"cursor" doc:"next_cursor of the page before, with the same filters."`
}

// stateOfText is zero for none.
func stateOfText(text string) transfer.State {
	return map[string]transfer.State{"pending": transfer.Pending, "held": transfer.Held, "committed": transfer.Committed, "aborted": transfer.Aborted}[text]
}

func (w *web) listTransfers(ctx context.Context, in *listTransfersInput) (*body[pageJSON[transferJSON]], error) {
	records, next, err := w.desk.transfers(ctx, TransferQuery{
		State: stateOfText(in.State), Bank: transfer.BankID(in.Bank), Account: transfer.AccountID(in.Account), Reference: in.Reference,
		Since: in.Since, Until: in.Until, Limit: in.Limit,
	}, in.Cursor)
	if err != nil {
		return nil, err
	}
	page := pageJSON[transferJSON]{Data: []transferJSON{}, HasMore: next != "", NextCursor: next}
	for i := range records {
		page.Data = append(page.Data, transferToJSON(&records[i]))
	}
	return &body[pageJSON[transferJSON]]{page}, nil
}

type doubtJSON struct {
	Transfer   transferJSON `json:"transfer"`
	WaitingFor []string     `json:"waiting_for" nullable:"false" doc:"The banks that have not said yet that they hold it. None: they have, and it is being written down."`
}

type limitedInput struct {
	Limit int `query:"limit" minimum:"1" default:"100" doc:"1 to 1000; 100 if unset; above 1000 is 1000. The oldest."`
}

type listJSON[T any] struct {
	Data []T `json:"data" nullable:"false"`
}

func (w *web) listInDoubt(ctx context.Context, in *limitedInput) (*body[listJSON[doubtJSON]], error) {
	doubts, err := w.desk.inDoubt(ctx, in.Limit)
	if err != nil {
		return nil, err
	}
	out := listJSON[doubtJSON]{Data: []doubtJSON{}}
	for i := range doubts {
		doubt := doubtJSON{Transfer: transferToJSON(&doubts[i].Record), WaitingFor: []string{}}
		for _, at := range doubts[i].Waiting {
			doubt.WaitingFor = append(doubt.WaitingFor, string(at))
		}
		out.Data = append(out.Data, doubt)
	}
	return &body[listJSON[doubtJSON]]{out}, nil
}

func (w *web) listBanks(ctx context.Context, _ *none) (*body[listJSON[bankStatusJSON]], error) {
	view, err := w.desk.status(ctx)
	if err != nil {
		return nil, err
	}
	return &body[listJSON[bankStatusJSON]]{listJSON[bankStatusJSON]{Data: statusToJSON(&view).Banks}}, nil
}
