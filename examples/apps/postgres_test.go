package apps

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// startPostgres starts a PostgreSQL of the test's own at an address of the kernel's.
func startPostgres(t *testing.T, address string) (end func()) {
	t.Helper()
	server := postgresServer.need(t)
	dir := t.TempDir()
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(filepath.Dir(server), name), args...)
		cmd.Dir = dir
		if os.Geteuid() == 0 { // as which PostgreSQL refuses to run
			u, err := user.Lookup("postgres")
			if err != nil {
				t.Fatal(err)
			}
			uid, _ := strconv.Atoi(u.Uid)
			gid, _ := strconv.Atoi(u.Gid)
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
			if err := os.Chown(dir, uid, gid); err != nil {
				t.Fatal(err)
			}
		}
		return cmd
	}
	// Every directory above must let that user through.
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if out, err := run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C", "--encoding=UTF8").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	rules := []byte("host all all all trust\n")
	if err := os.WriteFile(filepath.Join(data, "pg_hba.conf"), rules, 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, run("postgres", "-D", data, "-h", address, "-k", dir, "-c", "fsync=off", "-c", "autovacuum=off"),
		"database system is ready to accept connections")
}

// TestPostgres has pgx on unet, on its own and under database/sql, at a PostgreSQL on the kernel.
func TestPostgres(t *testing.T) {
	h := overTAP(t)
	end := startPostgres(t, h.kernels)
	config, err := pgxpool.ParseConfig("postgres://postgres@" + h.kernels + "/postgres?sslmode=disable&pool_max_conns=8")
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.DialFunc = h.DialContext
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, test := range []struct {
		name string
		run  func(*testing.T, *pgxpool.Pool)
	}{
		{"transactions", postgresTransactions}, {"COPY and large values", postgresBulk}, {"LISTEN and NOTIFY", postgresNotify},
		{"a query is cancelled", postgresCancel}, {"database/sql", postgresSQL},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, pool) })
	}
	t.Run("a session is ended, and then the server", func(t *testing.T) { postgresEnds(t, pool, end) })
}

func postgresTransactions(t *testing.T, pool *pgxpool.Pool) {
	if _, err := pool.Exec(t.Context(), "CREATE TABLE counters (id int PRIMARY KEY, n int); INSERT INTO counters VALUES (1, 0)"); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 25 {
				err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), "UPDATE counters SET n = n + $1 WHERE id = $2", 1, 1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	n := 0
	if err := pool.QueryRow(t.Context(), "SELECT n FROM counters").Scan(&n); err != nil || n != 200 {
		t.Errorf("%d of 200 transactions, %v", n, err)
	}
	if opened := pool.Stat().NewConnsCount(); opened > 8 {
		t.Errorf("the pool has opened %d connections for its 8 places", opened)
	}
}

func postgresBulk(t *testing.T, pool *pgxpool.Pool) {
	const rows = 20_000
	if _, err := pool.Exec(t.Context(), "CREATE TABLE bulk (id int, body text)"); err != nil {
		t.Fatal(err)
	}
	body := func(i int) string { return fmt.Sprintf("row %d %0100d", i, i) }
	n, err := pool.CopyFrom(t.Context(), pgx.Identifier{"bulk"}, []string{"id", "body"},
		pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i, body(i)}, nil }))
	if err != nil || n != rows {
		t.Fatalf("copied %d rows, %v", n, err)
	}
	found, err := pool.Query(t.Context(), "SELECT id, body FROM bulk ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	i, id, text := 0, 0, ""
	if _, err := pgx.ForEachRow(found, []any{&id, &text}, func() error {
		if id != i || text != body(i) {
			return fmt.Errorf("row %d: %d, %q", i, id, text)
		}
		i++
		return nil
	}); err != nil || i != rows {
		t.Errorf("read %d rows, %v", i, err)
	}
	sent := bytes.Repeat([]byte{0, 1, 2, 255}, 1<<20)
	var got []byte
	if err := pool.QueryRow(t.Context(), "SELECT $1::bytea", sent).Scan(&got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d octets of %d, %v", len(got), len(sent), err)
	}
	batch := new(pgx.Batch)
	for i := range 200 {
		batch.Queue("SELECT $1::int", i)
	}
	results := pool.SendBatch(t.Context(), batch)
	for i := range 200 {
		if err := results.QueryRow().Scan(&n); err != nil || n != int64(i) {
			t.Fatalf("result %d of a batch: %d, %v", i, n, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Error(err)
	}
}

// postgresNotify waits for what comes of itself: a deadline passes in the middle, and the connection goes on.
func postgresNotify(t *testing.T, pool *pgxpool.Pool) {
	c, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if _, err := c.Exec(t.Context(), "LISTEN news"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), short)
	defer cancel()
	if _, err := c.Conn().WaitForNotification(short); !pgconn.Timeout(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no news: %v", err)
	}
	for i := range 10 {
		if _, err := pool.Exec(t.Context(), "SELECT pg_notify('news', $1)", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Conn().WaitForNotification(t.Context()); err != nil || n.Payload != fmt.Sprint(i) {
			t.Fatalf("news %d: %v, %v", i, n, err)
		}
	}
}

// postgresCancel has the driver cancel a query over a second connection, and by closing its own.
func postgresCancel(t *testing.T, pool *pgxpool.Pool) {
	config := pool.Config().ConnConfig
	config.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Minute}
	}
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	sleep := func(c interface {
		Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	}) error {
		short, cancel := context.WithTimeout(t.Context(), short)
		defer cancel()
		_, err := c.Exec(short, "SELECT pg_sleep(60)")
		return err
	}
	var cancelled *pgconn.PgError
	if err := sleep(c); !errors.As(err, &cancelled) || cancelled.Code != "57014" {
		t.Errorf("cancelled by request: %v", err)
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Errorf("the connection afterwards: %v", err)
	}
	if err := sleep(pool); !pgconn.Timeout(err) {
		t.Errorf("given up: %v", err)
	}
}

func postgresSQL(t *testing.T, pool *pgxpool.Pool) {
	db := stdlib.OpenDB(*pool.Config().ConnConfig)
	defer db.Close()
	db.SetMaxOpenConns(2)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
			if err != nil {
				t.Error(err)
				return
			}
			var got, sum int64
			err = tx.QueryRowContext(t.Context(), "SELECT $1::bigint, sum(id) FROM bulk", i).Scan(&got, &sum)
			if err := errors.Join(err, tx.Commit()); err != nil || got != int64(i) || sum != 19_999*20_000/2 {
				t.Errorf("%d, %d, %v", got, sum, err)
			}
		})
	}
	group.Wait()
}

func postgresEnds(t *testing.T, pool *pgxpool.Pool, end func()) {
	c, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release()
	if _, err := pool.Exec(t.Context(), "SELECT pg_terminate_backend($1)", c.Conn().PgConn().PID()); err != nil {
		t.Fatal(err)
	}
	var gone *pgconn.PgError
	if _, err := c.Conn().WaitForNotification(t.Context()); !errors.As(err, &gone) || gone.Code != "57P01" {
		t.Errorf("a session that is ended: %v", err)
	}
	pool.Reset()
	end()
	if err := pool.Ping(t.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("a server that has gone: %v", err)
	}
}
