package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"

	"github.com/quorate/quorate/api"
	"github.com/quorate/quorate/transfer"
)

// rowBytesMax is far above what a transfer of 256 legs takes.
const rowBytesMax = 1 << 20

// importRow is one transfer of a file, or what is wrong with it.
type importRow struct {
	line     int         // where it begins, counted from 1
	fields   []string    // of CSV, one for each column: what the rejects file repeats; nil: there are more or fewer
	object   *importJSON // of JSONL; nil: the line is no such object
	raw      []byte      // the line, if there is neither
	transfer transfer.Transfer
	err      error
}

// rowReader yields the rows of a file, one after another, with bounded memory. io.EOF ends them. Any other error is about the
// file as a whole; what is wrong with one row is in the row.
type rowReader interface {
	next() (importRow, error)
	header() []string // the names of the columns; nil: it has none
}

// The columns of a CSV file. id and reference may be missing, and an id may be empty.
var importColumns = []string{"id", "from_bank", "from_account", "to_bank", "to_account", "amount", "currency", "reference"}

// What a rejects file adds. An import passes over them, so that a rejects file can be imported again. The text is that of a line that has no such columns.
var rejectColumns = []string{"rejected_line", "rejected_code", "rejected_detail", rejectedText}

const rejectedText = "rejected_text"

type csvRows struct {
	csv     *csv.Reader
	text    *rowText // what csv reads
	line    int      // where the last row that could be read began
	names   []string
	columns map[string]int
	ids     *idMaker
}

func newCSVRows(r io.Reader, ids *idMaker) (*csvRows, error) {
	text := &rowText{in: bufio.NewReader(r)}
	skipByteOrderMark(text.in)
	c := &csvRows{csv: csv.NewReader(text), text: text, line: 1, columns: map[string]int{}, ids: ids}
	c.csv.ReuseRecord = true
	names, err := c.csv.Read()
	c.text.until(c.csv.InputOffset())
	if errors.Is(err, io.EOF) {
		return nil, usagef("the file is empty. why: its first line must name the columns. try: %s", strings.Join(importColumns, ","))
	}
	if err != nil {
		return nil, usagef("the first line: %v", err)
	}
	c.names = slices.Clone(names)
	for i, name := range c.names {
		if _, twice := c.columns[name]; twice {
			return nil, usagef("the first line names the column %q twice", name)
		}
		if !slices.Contains(slices.Concat(importColumns, rejectColumns, exportColumns), name) {
			return nil, usagef("the first line names the column %q, which means nothing here. try: %s", name, strings.Join(importColumns, ","))
		}
		c.columns[name] = i
	}
	for _, name := range importColumns {
		if _, there := c.columns[name]; !there && name != "id" && name != "reference" {
			return nil, usagef("the first line doesn't name the column %q. try: %s", name, strings.Join(importColumns, ","))
		}
	}
	return c, nil
}

func (c *csvRows) header() []string { return c.names }

// next stops the reading at a quote that isn't closed on its line, or that is out of place: what follows may be the text of a field, which somebody else may have
// written, or rows that the field swallows.
func (c *csvRows) next() (importRow, error) {
	fields, err := c.csv.Read()
	text := bytes.Trim(c.text.until(c.csv.InputOffset()), "\r\n") // empty lines before it are passed over
	lines := 1 + bytes.Count(text, []byte("\n"))
	var malformed *csv.ParseError
	switch {
	case err == nil && lines == 1:
		row := importRow{fields: slices.Clone(fields)}
		c.line, _ = c.csv.FieldPos(0)
		row.line = c.line
		row.transfer, row.err = c.transfer(row.fields)
		return row, nil
	case err == nil:
		first, _ := c.csv.FieldPos(0)
		return importRow{}, badQuote(first, openQuote(lines))
	case !errors.As(err, &malformed):
		return importRow{}, fmt.Errorf("behind the row of line %d: %w", c.line, err)
	case lines > 1:
		return importRow{}, badQuote(malformed.StartLine, openQuote(lines))
	case errors.Is(err, csv.ErrFieldCount):
		err = fmt.Errorf("%d columns, the first line has %d", len(fields), len(c.names))
	case !errors.Is(err, csv.ErrBareQuote) || bytes.Count(text, []byte{'"'}) > 1: // a single one within a field opens nothing
		return importRow{}, badQuote(malformed.StartLine, malformed.Err.Error())
	default:
		err = malformed.Err
	}
	return importRow{line: malformed.StartLine, raw: bytes.Clone(text), err: fmt.Errorf("%w: %w", transfer.ErrInvalidRequest, err)}, nil
}

func openQuote(lines int) string {
	return fmt.Sprintf("a quote is not closed on its line and makes one row of %d lines", lines)
}

func badQuote(line int, what string) error {
	return &adviceError{
		fmt.Errorf("line %d: %s. why: what follows may be text of a field, so nothing was read from this line on", line, what),
		"mend the line, and import the file again: no row is carried out twice; a reference with a line break needs JSONL",
	}
}

// rowText keeps what was read of a file since its last row.
type rowText struct {
	in   *bufio.Reader
	kept []byte
	from int64 // where in the file kept begins
}

func (t *rowText) Read(p []byte) (int, error) {
	if len(t.kept) > rowBytesMax {
		return 0, fmt.Errorf("a row is longer than %d bytes. why: a quote may be missing that closes a field", rowBytesMax)
	}
	n, err := t.in.Read(p)
	t.kept = append(t.kept, p[:n]...)
	return n, err
}

// until is the text up to an offset, and forgets it. Its result is valid until the next Read.
func (t *rowText) until(offset int64) []byte {
	text := t.kept[:offset-t.from]
	t.kept, t.from = t.kept[len(text):], offset
	return text
}

// skipByteOrderMark passes over what spreadsheets like to begin with. If nothing can be read, the next Read says so.
func skipByteOrderMark(in *bufio.Reader) {
	const mark = "\ufeff"
	if begin, _ := in.Peek(len(mark)); string(begin) == mark {
		_, _ = in.Discard(len(mark))
	}
}

func (c *csvRows) field(fields []string, name string) string {
	if i, there := c.columns[name]; there {
		return fields[i]
	}
	return ""
}

func (c *csvRows) transfer(fields []string) (t transfer.Transfer, err error) {
	at := func(name string) string { return c.field(fields, name) }
	if at(rejectedText) != "" && !slices.ContainsFunc(importColumns, func(name string) bool { return at(name) != "" }) {
		return t, fmt.Errorf("%w: the row is as it was rejected; its text has to be put into the columns", transfer.ErrInvalidRequest)
	}
	if err := checkExported(at("state"), false); err != nil {
		return t, err
	}
	currency, err := transfer.ParseCurrency(at("currency"))
	if err != nil {
		return t, err
	}
	amount, err := transfer.ParseDecimal(at("amount"), currency)
	if err != nil {
		return t, err
	}
	t.Legs = []transfer.Leg{
		{Bank: transfer.BankID(at("from_bank")), Account: transfer.AccountID(at("from_account")), Direction: transfer.Debit, AmountMinor: amount, Currency: currency},
		{Bank: transfer.BankID(at("to_bank")), Account: transfer.AccountID(at("to_account")), Direction: transfer.Credit, AmountMinor: amount, Currency: currency},
	}
	t.Reference = at("reference")
	if t.ID, err = c.ids.idOf(at("id"), &t); err != nil {
		return t, err
	}
	return t, t.Validate()
}

// jsonRows reads one transfer a line, as the HTTP API takes it.
type jsonRows struct {
	lines *bufio.Reader
	line  int
	ids   *idMaker
}

func newJSONRows(r io.Reader, ids *idMaker) *jsonRows {
	j := &jsonRows{lines: bufio.NewReaderSize(r, rowBytesMax), ids: ids}
	skipByteOrderMark(j.lines)
	return j
}

type importJSON struct {
	ID        string    `json:"id,omitempty"`
	Legs      []legJSON `json:"legs"`
	Reference string    `json:"reference,omitempty"`
	exported
	rejection
}

// exported is what the file of an export adds. But for the state an import passes over it.
type exported struct {
	State     string          `json:"state,omitempty"`
	Reason    json.RawMessage `json:"reason,omitempty"`
	Settled   json.RawMessage `json:"settled,omitempty"`
	CreatedAt json.RawMessage `json:"created_at,omitempty"`
	DecidedAt json.RawMessage `json:"decided_at,omitempty"`
	HoldUntil json.RawMessage `json:"hold_until,omitempty"`
	Captured  json.RawMessage `json:"captured_minor,omitempty"`
}

// rejection is what a rejects file adds.
type rejection struct {
	Line   int    `json:"rejected_line,omitempty"`
	Code   string `json:"rejected_code,omitempty"`
	Detail string `json:"rejected_detail,omitempty"`
	Text   string `json:"rejected_text,omitempty"` // the line, if it is no object
}

func parseImportJSON(line []byte) (*importJSON, error) {
	var in importJSON
	if err := api.UnmarshalStrict(line, &in); err != nil {
		return nil, fmt.Errorf("%w: %v", transfer.ErrInvalidRequest, err)
	}
	return &in, nil
}

func (j *jsonRows) header() []string { return nil }

func (j *jsonRows) next() (importRow, error) {
	for {
		line, err := j.lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return importRow{}, fmt.Errorf("line %d is longer than %d bytes", j.line+1, rowBytesMax)
		}
		if err != nil && (len(line) == 0 || !errors.Is(err, io.EOF)) {
			return importRow{}, err
		}
		j.line++
		line = bytes.TrimSuffix(line, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		row := importRow{line: j.line}
		if row.object, row.err = parseImportJSON(line); row.err != nil {
			row.raw = bytes.Clone(line)
		} else {
			row.transfer, row.err = j.transfer(row.object)
		}
		return row, nil
	}
}

func (j *jsonRows) transfer(in *importJSON) (t transfer.Transfer, err error) {
	if err := checkExported(in.State, len(in.HoldUntil) > 0); err != nil {
		return t, err
	}
	t.Reference = in.Reference
	for i := range in.Legs {
		leg, err := in.Legs[i].leg()
		if err != nil {
			return t, fmt.Errorf("leg %d: %w", i+1, err)
		}
		t.Legs = append(t.Legs, leg)
	}
	if t.ID, err = j.ids.idOf(in.ID, &t); err != nil {
		return t, err
	}
	return t, t.Validate()
}

// idMaker gives every row the id that it has had in every run: its own, or one that follows from the name of the batch, its content, and
// how many rows before it had the same content. So a row keeps its id when others are mended, added or dropped.
type idMaker struct {
	batch string
	seen  map[uint64]uint32 // rows without an id, by a hash of their content: a few bytes for each
	seed  maphash.Seed
	own   map[uint64]struct{} // hashes of the ids that rows had of their own
	twice int64               // rows with an id that a row before them has
}

func newIDMaker(batch string) *idMaker {
	return &idMaker{batch: batch, seen: map[uint64]uint32{}, seed: maphash.MakeSeed(), own: map[uint64]struct{}{}}
}

func (m *idMaker) idOf(text string, t *transfer.Transfer) (transfer.ID, error) {
	if text != "" {
		id, err := transfer.ParseID(text)
		if err == nil {
			before := len(m.own)
			m.own[maphash.Comparable(m.seed, id)] = struct{}{}
			if len(m.own) == before {
				m.twice++
			}
		}
		return id, err
	}
	content := t.Fingerprint()
	short := binary.BigEndian.Uint64(content[:])
	m.seen[short]++
	h := sha256.New()
	fmt.Fprintf(h, "quorate import %q %d\n", m.batch, m.seen[short])
	h.Write(content[:])
	id := transfer.ID(h.Sum(nil)[:16])
	id[6] = id[6]&0x0f | 0x80 // version 8: custom (RFC 9562 §5.8)
	id[8] = id[8]&0x3f | 0x80
	return id, nil
}
