package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/quorate/quorate/api"
)

// rejects is the file of rows that are not committed, in the form of the file they came from: mended, it can be imported itself.
// It is made with the first of them, in place of what an earlier import of the same file left.
type rejects struct {
	name   string
	header []string // of the file the rows come from; nil: JSONL
	out    []string // columns of this one, without those of rejectColumns

	mu    sync.Mutex // guards what follows: requests end in any order
	count int
	file  *os.File
	csv   *csv.Writer
}

func newRejects(name string, header []string) *rejects {
	r := &rejects{name: name, header: header}
	for _, column := range append(slices.Clone(importColumns), "state") {
		if column == "id" || slices.Contains(header, column) {
			r.out = append(r.out, column)
		}
	}
	return r
}

// add writes one row. What may have happened gets the id that it was submitted with: imported again from whatever file, it
// must not be another transfer.
func (r *rejects) add(row *importRow, o importOutcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.open(); err != nil {
		return err
	}
	r.count++
	code, _ := api.Judge(o.err)
	why := rejection{Line: row.line, Code: string(code), Detail: o.err.Error()}
	id := ""
	if o.unknown {
		id = row.transfer.ID.String()
	}
	if r.csv == nil {
		return r.addJSON(row.object, id, why)
	}
	return r.addCSV(row.fields, id, why)
}

func (r *rejects) open() error {
	if r.file != nil {
		return nil
	}
	var err error
	if r.file, err = os.Create(r.name); err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	if r.header == nil {
		return nil
	}
	r.csv = csv.NewWriter(r.file)
	return r.csv.Write(slices.Concat(r.out, rejectColumns))
}

func (r *rejects) addJSON(object *importJSON, id string, why rejection) error {
	if object == nil {
		object = &importJSON{}
	}
	object.rejection = why
	if id != "" {
		object.ID = id
	}
	line, err := json.Marshal(object)
	if err == nil {
		_, err = r.file.Write(append(line, '\n'))
	}
	return err
}

func (r *rejects) addCSV(fields []string, id string, why rejection) error {
	var out []string
	for _, column := range r.out {
		field := ""
		if i := slices.Index(r.header, column); i >= 0 && i < len(fields) {
			field = fields[i]
		}
		if column == "id" && id != "" {
			field = id
		}
		out = append(out, field)
	}
	return r.csv.Write(append(out, strconv.Itoa(why.Line), why.Code, why.Detail))
}

// close ends the file, if there is one.
func (r *rejects) close() error {
	if r.file == nil {
		return nil
	}
	var err error
	if r.csv != nil {
		r.csv.Flush()
		err = r.csv.Error()
	}
	if err = errors.Join(err, r.file.Close()); err != nil {
		return fmt.Errorf("write the rejected rows: %w", err)
	}
	return nil
}
