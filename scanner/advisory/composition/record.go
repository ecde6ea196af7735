package composition

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/aquasecurity/trivy-db/pkg/types"
	bolt "go.etcd.io/bbolt"
)

// Root buckets of a database that hold something else than advisories (trivy-db pkg/db).
const (
	detailBucket    = "vulnerability"
	sourceBucket    = "data-source"
	redHatCPEBucket = "Red Hat CPE"
	redHatBucket    = "Red Hat"
)

// Record says whose advisories a bucket has.
type Record struct {
	types.DataSource
	// United says that each row names its own data source.
	United bool
	// rules are the keys that digestgate adds to Trivy's, such as how versions are
	// compared. Buckets are united only where they are the same.
	rules map[string]json.RawMessage
}

// unitedKey marks a bucket whose rows each name their data source. Trivy ignores it, and
// then finds no data source in the record, which is why it takes that of the row.
const unitedKey = "United"

// trivyKeys are those of types.DataSource.
var trivyKeys = []string{"ID", "Name", "URL", "BaseID", unitedKey}

// RecordOf reads that of a bucket. One that cannot be read is none, as for Trivy.
func RecordOf(tx *bolt.Tx, bucket []byte) (r Record) {
	sources := tx.Bucket([]byte(sourceBucket))
	if sources == nil {
		return r
	}
	value := sources.Get(bucket)
	if value == nil || json.Unmarshal(value, &r.DataSource) != nil || json.Unmarshal(value, &r.rules) != nil {
		return Record{}
	}
	_, r.United = r.rules[unitedKey]
	for _, k := range trivyKeys {
		delete(r.rules, k)
	}
	return r
}

// named is the record of a source's bucket in a composition.
func (r Record) named(source string) Record {
	_, publisher := SplitName(r.Name)
	r.Name = joinName(source, publisher)
	return r
}

// SameRules reports whether digestgate reads the rows of both by the same rules.
func (r Record) SameRules(o Record) bool {
	return maps.EqualFunc(r.rules, o.rules, func(a, b json.RawMessage) bool { return bytes.Equal(compacted(a), compacted(b)) })
}

func compacted(v json.RawMessage) []byte {
	var b bytes.Buffer
	if json.Compact(&b, v) != nil {
		return v
	}
	return b.Bytes()
}

// encode is the value of the record; with united it only says that rows name theirs.
func (r Record) encode(united bool) ([]byte, error) {
	fields := map[string]any{}
	for k, v := range r.rules {
		fields[k] = v
	}
	if united {
		fields[unitedKey] = true
		return json.Marshal(fields)
	}
	own, err := json.Marshal(r.DataSource)
	if err != nil {
		return nil, err
	}
	var known map[string]json.RawMessage
	if err := json.Unmarshal(own, &known); err != nil {
		return nil, err
	}
	for k, v := range known {
		fields[k] = v
	}
	return json.Marshal(fields)
}

// attributed is a row that names its data source. Rows are JSON objects; the field is put
// in front of the others, so that the rest of the row keeps its bytes.
func attributed(row []byte, r Record) ([]byte, error) {
	source, err := json.Marshal(r.DataSource)
	if err != nil {
		return nil, err
	}
	row = bytes.TrimSpace(row)
	if len(row) < 2 || row[0] != '{' {
		return nil, fmt.Errorf("the advisory is not a JSON object")
	}
	if bytes.Contains(row, []byte(`"DataSource"`)) { // of an earlier composition
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(row, &fields); err != nil {
			return nil, err
		}
		delete(fields, "DataSource")
		if row, err = json.Marshal(fields); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, len(row)+len(source)+16)
	out = append(out, `{"DataSource":`...)
	out = append(out, source...)
	if rest := bytes.TrimSpace(row[1:]); rest[0] != '}' {
		out = append(out, ',')
		out = append(out, rest...)
	} else {
		out = append(out, '}')
	}
	return out, nil
}

// Effective takes a row of a bucket apart into the advisory and the data source that a
// detector sees with it: that of the bucket's record, or, in a united bucket, the row's
// own. It changes nothing that it is given.
func Effective(row []byte, bucket types.DataSource) ([]byte, types.DataSource) {
	if bucket != (types.DataSource{}) {
		return row, bucket
	}
	rest, ok := bytes.CutPrefix(row, []byte(`{"DataSource":`))
	if !ok {
		return row, bucket
	}
	dec := json.NewDecoder(bytes.NewReader(rest))
	var own types.DataSource
	if dec.Decode(&own) != nil {
		return row, bucket
	}
	rest = bytes.TrimPrefix(rest[dec.InputOffset():], []byte(","))
	return append([]byte{'{'}, rest...), own
}

// entryForm reports whether the detector of a bucket takes the data source from the
// bucket alone, and its rows are lists of entries (trivy-db pkg/vulnsrc: rocky,
// oracle-oval).
func entryForm(bucket []byte) bool {
	return bytes.HasPrefix(bucket, []byte("rocky ")) || bytes.HasPrefix(bucket, []byte("Oracle Linux "))
}

// marked is a row of entries that names its source beside each.
func marked(row []byte, source string) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(row, &fields); err != nil {
		return nil, err
	}
	var entries []map[string]json.RawMessage
	if list, ok := fields["Entries"]; ok {
		if err := json.Unmarshal(list, &entries); err != nil {
			return nil, err
		}
	}
	if len(entries) == 0 {
		if err := mark(fields, source); err != nil {
			return nil, err
		}
		return json.Marshal(fields)
	}
	for _, e := range entries {
		if err := mark(e, source); err != nil {
			return nil, err
		}
	}
	list, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	fields["Entries"] = list
	return json.Marshal(fields)
}

// mark adds the source to what an entry carries for extensions.
func mark(fields map[string]json.RawMessage, source string) (err error) {
	custom := map[string]any{}
	if have, ok := fields["Custom"]; ok && json.Unmarshal(have, &custom) != nil {
		custom = map[string]any{} // not an object: nothing of ours
	}
	custom[customKey] = source
	fields["Custom"], err = json.Marshal(custom)
	return err
}
