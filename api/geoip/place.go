package geoip

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"loginhub/hub/provider"
)

// farAway is the distance from which two places of one country are far from each other, in kilometres.
const farAway = 300

// maxName bounds the name of a city or country, in characters.
const maxName = 64

// Place is where an address probably is. The zero value is an unknown place.
type Place struct {
	Country string // ISO 3166-1 alpha-2, in capitals; "" if the place is unknown

	country, city names
	located       bool
	lat, lon      float64 // degrees
}

// names are the names of a city or country in the languages that the pages have. The databases have no others of them.
type names struct {
	EN string `maxminddb:"en"`
	ZH string `maxminddb:"zh-CN"`
	JA string `maxminddb:"ja"`
	KO string `maxminddb:"ko"`
}

// record is what GeoLite2, GeoIP2, DB-IP and IP2Location have about a network.
type record struct {
	Country struct {
		Code  string `maxminddb:"iso_code"`
		Names names  `maxminddb:"names"`
	} `maxminddb:"country"`
	City struct {
		Names names `maxminddb:"names"`
	} `maxminddb:"city"`
	Location struct {
		Lat    float64 `maxminddb:"latitude"`
		Lon    float64 `maxminddb:"longitude"`
		Radius uint    `maxminddb:"accuracy_radius"` // kilometres; 0 if the database does not say it
	} `maxminddb:"location"`
}

// flatRecord is what IPinfo and the npm packages @ip-location-db have about a network. Country is a code in some
// databases, and a name with the code beside it in others.
type flatRecord struct {
	Country string `maxminddb:"country"`
	Code    string `maxminddb:"country_code"`
	Name    string `maxminddb:"country_name"`
	City    string `maxminddb:"city"`
}

// placeOf returns the place of a record. A record that cannot be read is unknown.
func placeOf(found maxminddb.Result) Place {
	var r record
	r.Location.Lat = math.NaN() // stays if there are no coordinates
	if found.Decode(&r) == nil && r.Country.Code != "" {
		p := Place{Country: code(r.Country.Code), country: r.Country.Names, city: r.City.Names}
		if at := r.Location; at.Radius <= farAway && p.hasCity() {
			return p.at(at.Lat, at.Lon)
		}
		return p.known()
	}
	var f flatRecord
	if found.Decode(&f) != nil {
		return Place{}
	}
	p := Place{Country: code(cmp.Or(f.Code, f.Country)), country: names{EN: f.Name}, city: names{EN: f.City}}
	if f.Code != "" && f.Name == "" {
		p.country.EN = f.Country
	}
	if !p.hasCity() {
		return p.known()
	}
	lat, lon := math.NaN(), math.NaN()
	_, _ = found.DecodePath(&lat, "latitude"), found.DecodePath(&lon, "longitude") // texts in some databases: not used
	return p.at(lat, lon)
}

// at returns p with coordinates in degrees, if they are valid.
func (p Place) at(lat, lon float64) Place {
	if math.Abs(lat) <= 90 && math.Abs(lon) <= 180 {
		p.located, p.lat, p.lon = true, lat, lon
	}
	return p.known()
}

// hasCity reports whether the city is known. Coordinates without one are the middle of the country or of a province,
// although some databases give a small radius.
func (p Place) hasCity() bool { return clean(p.city.EN) != "" || clean(p.city.ZH) != "" }

// known returns p, or the zero Place if its country is unknown.
func (p Place) known() Place {
	if p.Country == "" {
		return Place{}
	}
	return p
}

// noCountry are codes of databases for an unknown country.
var noCountry = []string{"AP", "EU", "XX", "ZZ"}

// code returns a country's code in capitals, or "" if the text is none.
func code(text string) string {
	letter := func(b byte) bool { return b|0x20 >= 'a' && b|0x20 <= 'z' }
	if len(text) != 2 || !letter(text[0]) || !letter(text[1]) {
		return ""
	}
	if text = strings.ToUpper(text); slices.Contains(noCountry, text) {
		return ""
	}
	return text
}

// clean returns the name of a city or country for a person; "" if the database has none, for which IP2Location has "-".
func clean(name string) string {
	if name == "-" {
		return ""
	}
	return provider.CleanText(name, maxName)
}

// in returns the name in a language (ISO 639-1), otherwise in English. It reports whether the name is Chinese, Japanese
// or Korean.
func (n names) in(language string) (name string, cjk bool) {
	switch language {
	case "zh":
		name = n.ZH
	case "ja":
		name = n.JA
	case "ko":
		name = n.KO
	}
	if name = clean(name); name != "" {
		return name, true
	}
	return clean(n.EN), false
}

// Text returns the city and country for a person who reads the language of a tag such as zh-CN; "" if the place is
// unknown. A name that the database does not have in that language is in English. The text is clean, and not
// trusted otherwise.
func (p Place) Text(language string) string {
	if p.Country == "" {
		return ""
	}
	if end := strings.IndexAny(language, "-_"); end > 0 {
		language = language[:end]
	}
	country, cjk := p.country.in(language)
	country = cmp.Or(country, p.Country)
	city, _ := p.city.in(language)
	switch {
	case city == "" || city == country:
		return country
	case cjk: // the larger place comes first
		return country + " " + city
	}
	return city + ", " + country
}

// Far reports whether two places are known and far from each other: in different countries, or more than 300 km
// apart. Coordinates that the database says are less accurate than that are not compared.
func Far(a, b Place) bool {
	if a.Country == "" || b.Country == "" {
		return false
	}
	return a.Country != b.Country || a.located && b.located && distance(a, b) > farAway
}

// distance returns the kilometres between two places over a sphere (haversine formula).
func distance(a, b Place) float64 {
	rad := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	half := func(radians float64) float64 { s := math.Sin(radians / 2); return s * s }
	h := half(rad(b.lat-a.lat)) + math.Cos(rad(a.lat))*math.Cos(rad(b.lat))*half(rad(b.lon-a.lon))
	return 2 * 6371 * math.Asin(math.Sqrt(math.Min(1, h)))
}
