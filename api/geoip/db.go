package geoip

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// maxFile bounds a database, in bytes. It is read into memory: a file that is overwritten while it is
// mapped ends the process (SIGBUS).
const maxFile = 1 << 30

// probed is how many networks of a new file are searched for one with a country. Those without data count too: 128
// nodes that share their children have 2^128 of them.
const probed = 100_000

// DB is a database that can be replaced while it is in use. Lookup and Built are safe for concurrent
// use, also with Reload. In a nil DB every address is unknown.
type DB struct {
	path    string
	current atomic.Pointer[maxminddb.Reader]
	refused atomic.Bool

	// Used by Reload only.
	used os.FileInfo // of the file in use
	read os.FileInfo // at the last attempt to read it; nil: it was missing
	seen os.FileInfo // at the last Reload
}

// Open reads a database.
func Open(path string) (*DB, error) {
	db := &DB{path: path}
	if _, err := db.Reload(true); err != nil {
		return nil, err
	}
	return db, nil
}

// Reload reads the file again if it has changed. A change must be the same in two calls, so that a half-written file
// is not read. On an error the former database stays in use, and the same file is not read again. With force neither
// holds. It must not be called concurrently. Reload of a nil DB does nothing.
func (db *DB) Reload(force bool) (reloaded bool, err error) {
	if db == nil {
		return false, nil
	}
	now, err := os.Stat(db.path)
	if err != nil {
		now = nil
	}
	before := db.seen
	db.seen = now
	same := now != nil && sameFile(now, db.used)
	if same {
		db.refused.Store(false)
	}
	if same || !force && (sameFile(now, db.read) || !sameFile(now, before)) {
		return false, nil
	}
	db.read = now
	reader, err := open(db.path)
	db.refused.Store(err != nil)
	if err != nil {
		return false, err
	}
	db.current.Store(reader)
	db.used = now
	return true, nil
}

// sameFile reports whether a file was neither replaced nor written to. Both may be nil.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// open reads a database, and checks that its records have countries.
func open(path string) (*maxminddb.Reader, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	reader, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s is not a whole MaxMind DB file (.mmdb): %w", path, err)
	}
	n := 0
	for found := range reader.Networks(maxminddb.IncludeNetworksWithoutData(), maxminddb.IncludeAliasedNetworks()) {
		if err := found.Err(); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", path, err)
		}
		if placeOf(found).Country != "" {
			return reader, nil
		}
		if n++; n == probed {
			break
		}
	}
	return nil, fmt.Errorf("%s (%.64q) has no countries in its first %d networks; a City or Country database is needed", path, reader.Metadata.DatabaseType, n)
}

// readFile reads a regular file of at most maxFile bytes. Like the settings' files, it is opened without waiting for
// another process, as the open of a named pipe does.
func readFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s is being written: %w", path, err)
	} else if err != nil {
		return nil, err
	}
	return data, nil
}

// Lookup returns the place of an address; the zero Place if it is unknown.
func (db *DB) Lookup(addr netip.Addr) Place {
	if db == nil || !addr.IsValid() {
		return Place{}
	}
	return placeOf(db.current.Load().Lookup(addr.Unmap()))
}

// Refused reports whether the file cannot be read, and the former database is in use.
func (db *DB) Refused() bool { return db.refused.Load() }

// Built returns when the database in use was made, as its metadata say.
func (db *DB) Built() time.Time { return db.current.Load().Metadata.BuildTime() }
