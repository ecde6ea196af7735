package catalog

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// all reads the rows of a query. When the file turns out to be damaged it is replaced,
// and the query answers from the new one, as far as that is filled in time.
func all[T any](ctx context.Context, c *Catalog, doing string, row func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	opened := c.opened.Load()
	list, err := once(ctx, c, doing, row, query, args...)
	if !damaged(err) || c.renew(ctx, opened, err) != nil {
		return list, err
	}
	return once(ctx, c, doing, row, query, args...)
}

// once is all without looking after the file.
func once[T any](ctx context.Context, c *Catalog, doing string, row func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	c.using.RLock()
	defer c.using.RUnlock()
	stmt, err := c.compiled(ctx, query)
	if err != nil {
		return nil, failure(doing, err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, failure(doing, err)
	}
	defer rows.Close()
	var list []T
	for rows.Next() {
		one, err := row(rows)
		if err != nil {
			return nil, failure(doing, err)
		}
		list = append(list, one)
	}
	if err := rows.Err(); err != nil {
		return nil, failure(doing, err)
	}
	return list, nil
}

// maxCompiled bounds the statements that are kept. Their texts depend on which filters
// are given, of which there are fewer.
const maxCompiled = 500

// compiled is the statement of a text: the lists of a page ask the same hundred times,
// and to compile a statement takes longer than to run it.
func (c *Catalog) compiled(ctx context.Context, text string) (*sql.Stmt, error) {
	c.compiling.Lock()
	defer c.compiling.Unlock()
	if s := c.stmts[text]; s != nil {
		return s, nil
	}
	s, err := c.db().PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if len(c.stmts) >= maxCompiled {
		for _, old := range c.stmts {
			_ = old.Close() // what still reads by one reads to its end
		}
		clear(c.stmts)
	}
	c.stmts[text] = s
	return s, nil
}

// column reads rows of one column.
func column[T any](rows *sql.Rows) (one T, err error) { return one, rows.Scan(&one) }

// conditions builds a WHERE clause; the empty one is true.
type conditions struct {
	parts []string
	args  []any
}

// and is these conditions and one more.
func (c conditions) and(sql string, args ...any) conditions {
	return conditions{append(slices.Clip(c.parts), sql), append(slices.Clip(c.args), args...)}
}

func (c *conditions) add(sql string, args ...any) {
	c.parts = append(c.parts, sql)
	c.args = append(c.args, args...)
}

func (c *conditions) equal(column, value string) {
	if value != "" {
		c.add(column+" = ?", value)
	}
}

func (c *conditions) String() string {
	if len(c.parts) == 0 {
		return "true"
	}
	return strings.Join(c.parts, " AND ")
}

// page adds the condition of a cursor over (at DESC, id) and returns the limit.
func (c *conditions) page(list, at, id, text string, limit int) (int, error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > gate.MaxPage {
		return 0, fmt.Errorf("limit %d is not between 1 and %d: %w", limit, gate.MaxPage, gate.ErrInvalid)
	}
	if text == "" {
		return limit, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	var pos position
	if err == nil {
		err = json.Unmarshal(raw, &pos)
	}
	if err != nil || pos.List != list {
		return 0, fmt.Errorf("cursor %s was not given out for this list: %w", gate.Quoted(text, 60), gate.ErrInvalid)
	}
	// Written so that the index seeks to the position.
	c.add(at+" <= ? AND ("+at+" < ? OR "+id+" > ?)", pos.At, pos.At, pos.ID)
	return limit, nil
}

// position is where a page of a list ended.
type position struct {
	List string `json:"l"`
	At   int64  `json:"a"`
	ID   string `json:"i"`
}

func cursor(list string, at int64, id string) string {
	raw, err := json.Marshal(position{list, at, id})
	if err != nil {
		panic(err) // strings and an integer always marshal
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
