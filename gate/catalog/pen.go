package catalog

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// pen is the connection that writes. It keeps its statements: to compile one takes
// longer than to run it. Used by one goroutine at a time.
type pen struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts map[string]*sql.Stmt
}

// begin begins a transaction, on a new connection when there is none.
func (p *pen) begin(ctx context.Context) error {
	if p.conn == nil {
		conn, err := p.db.Conn(ctx)
		if err != nil {
			return err
		}
		p.conn, p.stmts = conn, map[string]*sql.Stmt{}
	}
	if err := p.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		p.drop()
		return err
	}
	return nil
}

// rollback gives the transaction up, and the connection with it: what it was doing when
// it failed is not known.
func (p *pen) rollback(ctx context.Context) error {
	err := p.exec(context.WithoutCancel(ctx), "ROLLBACK")
	p.drop()
	return err
}

// drop closes the connection; the next transaction opens another.
func (p *pen) drop() {
	if p.conn == nil {
		return
	}
	for _, s := range p.stmts {
		_ = s.Close() // of a connection that is closed next
	}
	_ = p.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that it is not used again
	_ = p.conn.Close()
	p.conn, p.stmts = nil, nil
}

func (p *pen) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if p.conn == nil {
		return nil, errors.New("there is no transaction")
	}
	if s := p.stmts[query]; s != nil {
		return s, nil
	}
	s, err := p.conn.PrepareContext(ctx, query)
	if err == nil {
		p.stmts[query] = s
	}
	return s, err
}

func (p *pen) exec(ctx context.Context, query string, args ...any) error {
	s, err := p.statement(ctx, query)
	if err == nil {
		_, err = s.ExecContext(ctx, args...)
	}
	return err
}

func (p *pen) each(ctx context.Context, row func(*sql.Rows) error, query string, args ...any) error {
	s, err := p.statement(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
