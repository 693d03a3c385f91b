package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// postgresServer is one PostgreSQL of our own: default settings, so fsync and synchronous_commit are on.
type postgresServer struct {
	child *child
	port  int
}

const (
	pgAccounts   = 10_000 // on each server
	pgClientsMax = 600
)

// pgSchema keeps what a bank keeps: accounts that can't be overdrawn beyond a limit, and a journal.
var pgSchema = fmt.Sprintf(`
CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL CHECK (balance > -1000000000000));
CREATE TABLE entries (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, transfer text NOT NULL, account int NOT NULL, amount bigint NOT NULL);
INSERT INTO accounts SELECT i, 0 FROM generate_series(0, %d) AS i;
VACUUM ANALYZE accounts`, pgAccounts-1)

func startPostgres(ctx context.Context, o *options, name string) (*postgresServer, error) {
	programs, err := postgresPrograms(o.postgres)
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(o.scratch, name, o.user)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	initdb, err := command(o.user, filepath.Join(programs, "initdb"), "-D", data, "-U", "bench", "--auth=trust", "--no-instructions")
	if err != nil {
		return nil, err
	}
	initdb.Dir = dir
	if text, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, text)
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	s := &postgresServer{port: ports[0]}
	s.child, err = startChild(dir, o.user, filepath.Join(programs, "postgres"), "-D", data, "-p", strconv.Itoa(s.port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+dir,
		"-c", fmt.Sprintf("max_connections=%d", pgClientsMax), "-c", fmt.Sprintf("max_prepared_transactions=%d", pgClientsMax),
		"-c", "shared_buffers=256MB", "-c", "log_min_messages=fatal")
	if err != nil {
		return nil, err
	}
	return s, until(func() error { return s.once(ctx, "SELECT 1") })
}

// postgresPrograms finds initdb and postgres.
func postgresPrograms(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	if found, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(found), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("there is no PostgreSQL here: apt-get install postgresql, or name its programs with --postgres")
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *postgresServer) connect(ctx context.Context) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=bench dbname=postgres sslmode=disable", s.port))
}

// once runs statements on a connection of their own.
func (s *postgresServer) once(ctx context.Context, sql string) error {
	_, err := s.ask(ctx, sql)
	return err
}

// ask returns the first column of the last result's first row.
func (s *postgresServer) ask(ctx context.Context, sql string) (string, error) {
	c, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) == 0 || len(results[len(results)-1].Rows) == 0 {
		return "", err
	}
	return string(results[len(results)-1].Rows[0][0]), nil
}

func (s *postgresServer) setUp(ctx context.Context) error {
	for _, statement := range strings.Split(pgSchema, ";") {
		if err := s.once(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (s *postgresServer) stop() error {
	if s == nil || s.child == nil {
		return nil
	}
	return s.child.stop(os.Signal(syscall.SIGINT)) // PostgreSQL's "fast" shutdown
}

// sum adds up the money of a server.
func (s *postgresServer) sum(ctx context.Context) (int64, error) {
	text, err := s.ask(ctx, "SELECT sum(balance) FROM accounts")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// legSQL moves one leg and notes it in the journal.
func legSQL(transfer string, account int, amount int64) string {
	return fmt.Sprintf("UPDATE accounts SET balance = balance + %d WHERE id = %d; INSERT INTO entries (transfer, account, amount) VALUES ('%s', %d, %d); ",
		amount, account, transfer, account, amount)
}

// postgres2PC is two servers and a client that drives both by hand: it keeps no record of its own, so a client that
// dies between the two phases leaves locks that nobody ends.
type postgres2PC struct {
	o       *options
	servers [2]*postgresServer
}

func (p *postgres2PC) name() string { return "postgres-2pc" }

func (p *postgres2PC) start(ctx context.Context) (err error) {
	for i := range p.servers {
		if p.servers[i], err = startPostgres(ctx, p.o, fmt.Sprintf("postgres-2pc-%d", i+1)); err != nil {
			return err
		}
		if err := p.servers[i].setUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *postgres2PC) stop() error { return errors.Join(p.servers[0].stop(), p.servers[1].stop()) }

func (p *postgres2PC) measure(ctx context.Context, clients int) (measurement, error) {
	var workers []worker
	defer func() { closeAll(workers) }()
	for i := range clients {
		w := &worker2PC{rng: rand.New(rand.NewPCG(uint64(i), rand.Uint64())), name: fmt.Sprintf("%d-%x", i, rand.Uint64())}
		workers = append(workers, w)
		for side, s := range p.servers {
			var err error
			if w.sides[side], err = s.connect(ctx); err != nil {
				return measurement{}, err
			}
			if _, err := w.sides[side].Exec(ctx, "SET lock_timeout = '500ms'").ReadAll(); err != nil {
				return measurement{}, err
			}
		}
	}
	m, err := loop(ctx, p.o, p.name(), workers, []int{p.servers[0].child.cmd.Process.Pid, p.servers[1].child.cmd.Process.Pid})
	if err != nil {
		return m, err
	}
	return m, p.check(ctx)
}

// check holds both servers against each other, as `quorate bench` does with its banks.
func (p *postgres2PC) check(ctx context.Context) error {
	var total int64
	for _, s := range p.servers {
		sum, err := s.sum(ctx)
		if err != nil {
			return err
		}
		total += sum
		left, err := s.ask(ctx, "SELECT count(*) FROM pg_prepared_xacts")
		if err != nil || left != "0" {
			return fmt.Errorf("%s prepared transactions are left, %w", left, err)
		}
	}
	if total != 0 {
		return fmt.Errorf("the sum over both servers is %d", total)
	}
	return nil
}

// worker2PC prepares on both servers at the same time, one round trip each, then commits on both at the same time.
type worker2PC struct {
	sides [2]*pgconn.PgConn
	rng   *rand.Rand
	name  string
	next  int
}

func (w *worker2PC) do(ctx context.Context) error {
	amount := 1 + w.rng.Int64N(100)
	from, to := w.rng.IntN(pgAccounts), w.rng.IntN(pgAccounts)
	payer := w.rng.IntN(2)
	for {
		w.next++
		id := fmt.Sprintf("%s-%d", w.name, w.next)
		prepared, err := w.both(ctx, func(side int) string {
			leg := legSQL(id, to, amount)
			if side == payer {
				leg = legSQL(id, from, -amount)
			}
			return "BEGIN; " + leg + "PREPARE TRANSACTION '" + id + "'"
		})
		if err == nil {
			_, err = w.both(ctx, func(int) string { return "COMMIT PREPARED '" + id + "'" })
			return err
		}
		// Two clients may each hold on one server what the other waits for: nobody sees such a deadlock, a timeout ends it.
		if _, undo := w.both(ctx, func(side int) string {
			if prepared[side] {
				return "ROLLBACK PREPARED '" + id + "'"
			}
			return "ROLLBACK"
		}); undo != nil {
			return errors.Join(err, undo)
		}
		if code := (*pgconn.PgError)(nil); !errors.As(err, &code) || code.Code != "55P03" { // lock_not_available
			return err
		}
	}
}

// both runs statements on both servers at the same time and says where they worked.
func (w *worker2PC) both(ctx context.Context, sql func(side int) string) (worked [2]bool, err error) {
	var errs [2]error
	var other sync.WaitGroup
	other.Go(func() { _, errs[1] = w.sides[1].Exec(ctx, sql(1)).ReadAll() })
	_, errs[0] = w.sides[0].Exec(ctx, sql(0)).ReadAll()
	other.Wait()
	return [2]bool{errs[0] == nil, errs[1] == nil}, errors.Join(errs[0], errs[1])
}

func (w *worker2PC) close() {
	for _, c := range w.sides {
		if c != nil {
			_ = c.Close(context.Background()) // of a connection that nobody uses any more
		}
	}
}

// postgresLocal is what needs no coordinator at all: both accounts on one server, one transaction.
type postgresLocal struct {
	o      *options
	server *postgresServer
}

func (p *postgresLocal) name() string { return "postgres-local" }

func (p *postgresLocal) start(ctx context.Context) (err error) {
	if p.server, err = startPostgres(ctx, p.o, "postgres-local"); err != nil {
		return err
	}
	return p.server.setUp(ctx)
}

func (p *postgresLocal) stop() error { return p.server.stop() }

func (p *postgresLocal) measure(ctx context.Context, clients int) (measurement, error) {
	var workers []worker
	defer func() { closeAll(workers) }()
	for i := range clients {
		c, err := p.server.connect(ctx)
		if err != nil {
			return measurement{}, err
		}
		workers = append(workers, &workerLocal{conn: c, rng: rand.New(rand.NewPCG(uint64(i), rand.Uint64()))})
	}
	m, err := loop(ctx, p.o, p.name(), workers, []int{p.server.child.cmd.Process.Pid})
	if err != nil {
		return m, err
	}
	if sum, err := p.server.sum(ctx); err != nil || sum != 0 {
		return m, fmt.Errorf("the sum over all accounts is %d, %w", sum, err)
	}
	return m, nil
}

// workerLocal locks the lower account first, so that no two of them wait for each other.
type workerLocal struct {
	conn *pgconn.PgConn
	rng  *rand.Rand
	next int
}

func (w *workerLocal) do(ctx context.Context) error {
	w.next++
	amount := 1 + w.rng.Int64N(100)
	one, two := w.rng.IntN(pgAccounts), w.rng.IntN(pgAccounts-1)
	if two >= one {
		two++
	} else {
		one, two, amount = two, one, -amount
	}
	id := strconv.Itoa(w.next)
	_, err := w.conn.Exec(ctx, "BEGIN; "+legSQL(id, one, -amount)+legSQL(id, two, amount)+"COMMIT").ReadAll()
	return err
}

func (w *workerLocal) close() { _ = w.conn.Close(context.Background()) } // nobody uses it any more
