package main

import (
	"fmt"
	"runtime/debug"
	"time"

	"loginhub/api/geoip"
)

// oldPlaces is the age from which a node warns of its GeoIP database. Its makers replace it weekly or monthly.
const oldPlaces = 60 * 24 * time.Hour

// openPlaces reads the GeoIP database; nil if none is set. A reload of the settings keeps the one in use, which
// reloadPlaces replaces on its own: it is large, and a broken one must not hold back a new certificate.
func (c *Config) openPlaces() (*geoip.DB, error) {
	if c.GeoIPFile == "" || c.places != nil {
		return c.places, nil
	}
	return geoip.Open(c.GeoIPFile)
}

// placesWarnings warns of an old database.
func placesWarnings(places *geoip.DB, now time.Time) []string {
	if places == nil || now.Sub(places.Built()) < oldPlaces {
		return nil
	}
	return []string{fmt.Sprintf("LOGINHUB_GEOIP_FILE: the database was made on %s, and addresses have moved since; download a new one, and do so every week (deploy/README.md)",
		places.Built().UTC().Format(time.DateOnly))}
}

// reloadPlaces reads the GeoIP database again if it has changed, or always if force is true.
func (r *reloader) reloadPlaces(force bool) {
	places := r.app.set.places
	reloaded, err := places.Reload(force)
	if err == nil && !reloaded {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	log := r.app.log.With("reload", r.count) // the number gives each reload its own line
	if err != nil {
		log.Error("the GeoIP database cannot be read again; the former one stays in use", "error", err)
		return
	}
	debug.FreeOSMemory() // the former one: until the next collection it would count twice
	log.Info("the GeoIP database was read again", "built", places.Built().UTC())
}
