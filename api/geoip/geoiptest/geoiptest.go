// Package geoiptest writes small databases for the tests of package geoip and of what uses it.
package geoiptest

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// City returns a record of the schema that GeoLite2, GeoIP2, DB-IP and IP2Location have. Each name is
// in English and Chinese; radius is the accuracy in kilometres.
func City(code string, country, city [2]string, lat, lon float64, radius uint16) mmdbtype.Map {
	names := func(n [2]string) mmdbtype.Map {
		return mmdbtype.Map{"names": mmdbtype.Map{"en": mmdbtype.String(n[0]), "zh-CN": mmdbtype.String(n[1])}}
	}
	record := mmdbtype.Map{"country": names(country), "city": names(city),
		"location": mmdbtype.Map{"latitude": mmdbtype.Float64(lat), "longitude": mmdbtype.Float64(lon), "accuracy_radius": mmdbtype.Uint16(radius)}}
	record["country"].(mmdbtype.Map)["iso_code"] = mmdbtype.String(code)
	return record
}

// Places returns networks of the documentation ranges (RFC 5737, RFC 3849) with their records. Shanghai is 85 km from
// Suzhou and 1,070 km from Beijing.
func Places() map[string]mmdbtype.Map {
	china := [2]string{"China", "中国"}
	return map[string]mmdbtype.Map{
		"203.0.113.0/25":     City("CN", china, [2]string{"Shanghai", "上海"}, 31.2222, 121.4581, 20),
		"203.0.113.128/26":   City("CN", china, [2]string{"Suzhou", "苏州"}, 31.3041, 120.5954, 50),
		"203.0.113.192/26":   City("CN", china, [2]string{"Beijing", "北京"}, 39.9075, 116.3972, 20),
		"198.51.100.0/25":    City("DE", [2]string{"Germany", "德国"}, [2]string{"Berlin", "柏林"}, 52.5244, 13.4105, 20),
		"2001:db8:cafe::/48": City("DE", [2]string{"Germany", "德国"}, [2]string{"Munich", "慕尼黑"}, 48.1374, 11.5755, 20),
	}
}

// Write writes a database, and replaces the file at once.
func Write(path string, built int64, places map[string]mmdbtype.Map) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", Languages: []string{"en", "zh-CN"}, BuildEpoch: built, RecordSize: 24, IncludeReservedNetworks: true})
	if err != nil {
		return fmt.Errorf("database: %w", err)
	}
	for _, network := range slices.Sorted(maps.Keys(places)) { // the same file each time
		_, prefix, err := net.ParseCIDR(network)
		if err == nil {
			err = tree.Insert(prefix, places[network])
		}
		if err != nil {
			return fmt.Errorf("insert %s: %w", network, err)
		}
	}
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	if _, err = tree.WriteTo(f); err == nil {
		err = f.Close()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".new", path)
}
