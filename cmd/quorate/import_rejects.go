package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/quorate/quorate/api"
)

// rejects is the file of rows that are not committed, in the form of the file they came from: mended, it can be imported itself.
// When the import ends it takes the place of what an earlier one of the same file left.
type rejects struct {
	name    string
	partial string   // where it is written until it is whole
	header  []string // of the file the rows come from; nil: JSONL
	out     []string // columns of this one, without those of rejectColumns

	mu    sync.Mutex // guards what follows: requests end in any order
	count int
	file  *os.File
	csv   *csv.Writer // of file; nil: JSONL
}

// newRejects creates the file, though it may stay empty: who has asked for payments can't be told any more that their rejects can't be written.
func newRejects(name string, header []string) (*rejects, error) {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	r := &rejects{name: name, partial: name + ".partial", header: header}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		r.partial = name // a device or a pipe
	}
	for _, column := range append(slices.Clone(importColumns), "state") {
		if column == "id" || slices.Contains(header, column) {
			r.out = append(r.out, column)
		}
	}
	var err error
	if r.file, err = os.Create(r.partial); err != nil {
		return nil, misconfigured(fmt.Errorf("create the file of rejected rows: %w", err))
	}
	if header != nil {
		r.csv = csv.NewWriter(r.file)
	}
	return r, nil
}

// add writes one row, with the id that it was submitted with: imported again from whatever file it must not be another transfer, for what was refused today the
// file it came from may carry out tomorrow. Only an id that is aborted for ever is left out, so that the row gets another one.
func (r *rejects) add(row *importRow, o importOutcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	code, _ := api.Judge(o.err)
	why := rejection{Line: row.line, Code: string(code), Detail: o.err.Error()}
	id := ""
	if row.err == nil && !o.closed {
		id = row.transfer.ID.String()
	}
	if r.csv == nil {
		return r.addJSON(row, id, why)
	}
	return r.addCSV(row, id, why)
}

func (r *rejects) addJSON(row *importRow, id string, why rejection) error {
	line, err := row.rejected(id, why)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	return err
}

// rejected repeats a line of JSON with what is wrong with it: as the object that it is, so that it can be mended in its place, or as text.
func (row *importRow) rejected(id string, why rejection) ([]byte, error) {
	if row.object != nil {
		row.object.rejection = why
		if id != "" {
			row.object.ID = id
		}
		return json.Marshal(row.object)
	}
	object := map[string]json.RawMessage{}
	if api.UnmarshalStrict(row.raw, &object) != nil || object == nil { // of two fields of one name only one would be left
		why.Text = string(row.raw)
		return json.Marshal(why)
	}
	text, err := json.Marshal(why)
	if err == nil {
		err = json.Unmarshal(text, &object) // beside what is there
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

// addCSV repeats a row in its columns. A line that has more or fewer columns is text: cut to size it might be the row of another payment.
func (r *rejects) addCSV(row *importRow, id string, why rejection) error {
	if r.count == 1 {
		if err := r.csv.Write(slices.Concat(r.out, rejectColumns)); err != nil {
			return err
		}
	}
	at := func(column string) string {
		if i := slices.Index(r.header, column); i >= 0 && row.fields != nil {
			return row.fields[i]
		}
		return ""
	}
	var out []string
	for _, column := range r.out {
		if column == "id" && id != "" {
			out = append(out, id)
		} else {
			out = append(out, at(column))
		}
	}
	text := string(row.raw)
	if row.raw == nil {
		text = at(rejectedText) // of a row that was rejected before
	}
	return r.csv.Write(append(out, strconv.Itoa(why.Line), why.Code, why.Detail, text))
}

// close ends the file and puts it in its place. If every row was read and submitted, and none was rejected, there is none there any more.
func (r *rejects) close(everyRow bool) error {
	var err error
	if r.csv != nil {
		r.csv.Flush()
		err = r.csv.Error()
	}
	err = errors.Join(err, r.file.Close())
	switch {
	case r.partial == r.name || err != nil:
	case r.count == 0:
		err = errors.Join(os.Remove(r.partial), r.remove(everyRow))
	default:
		err = os.Rename(r.partial, r.name)
	}
	if err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	return nil
}

// remove removes what an earlier import has left, unless this one ended early: then that may still be true.
func (r *rejects) remove(everyRow bool) error {
	if !everyRow {
		return nil
	}
	if err := os.Remove(r.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
