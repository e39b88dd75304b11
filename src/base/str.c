/*
 * str - reading borrowed octets: comparing, cutting, matching, hashing.
 *
 * An empty str may have a NULL pointer; nothing here hands such a pointer to the C library.
 */
#include "base/str.h"

#include <string.h>

#include "utf8.h"

enum { ASCII_BLOCK_BYTES = 64 };

struct sip {
	uint64_t v[4];
};

static char fold(char c);
static uint64_t hash(struct str s, uint64_t seed, bool is_folded);
static inline uint64_t load_word(const char *text);
static inline uint64_t load_tail(struct str s, size_t from);
static inline uint64_t fold_word(uint64_t word);
static inline void sip_word(struct sip *sip, uint64_t word);
static inline void sip_round(struct sip *sip);
static uint64_t rotate_left(uint64_t x, unsigned bits);

struct str str_from_c(const char *text)
{
	return text ? str_of(text, strlen(text)) : STR("");
}

bool str_equal(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool str_equal_fold(struct str a, struct str b)
{
	return a.len == b.len && str_starts_fold(a, b);
}

int str_compare(struct str a, struct str b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
	if (order != 0)
		return order;
	return (a.len > b.len) - (a.len < b.len);
}

bool str_starts_fold(struct str s, struct str prefix)
{
	if (s.len < prefix.len)
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (fold(s.data[i]) != fold(prefix.data[i]))
			return false;
	}
	return true;
}

bool str_ends_fold(struct str s, struct str suffix)
{
	return s.len >= suffix.len &&
	       str_starts_fold(str_slice(s, s.len - suffix.len, s.len), suffix);
}

size_t str_find(struct str s, char c)
{
	const char *found = s.len > 0 ? memchr(s.data, c, s.len) : NULL;
	return found ? (size_t)(found - s.data) : s.len;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
	if (to > s.len)
		to = s.len;
	if (from > to)
		from = to;
	return from > 0 ? str_of(s.data + from, to - from) : str_of(s.data, to);
}

struct str str_trim(struct str s)
{
	size_t from = 0, to = s.len;
	while (from < to && (s.data[from] == ' ' || s.data[from] == '\t'))
		from++;
	while (to > from && (s.data[to - 1] == ' ' || s.data[to - 1] == '\t'))
		to--;
	return str_slice(s, from, to);
}

struct str str_cut(struct str *rest, char sep)
{
	size_t at = str_find(*rest, sep);
	struct str part = str_slice(*rest, 0, at);
	*rest = str_slice(*rest, at < rest->len ? at + 1 : at, rest->len);
	return part;
}

enum err str_to_u64(struct str s, uint64_t *out)
{
	uint64_t value = 0;
	bool is_over = false;
	if (s.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return ERR_SYNTAX;
		unsigned digit = (unsigned)(s.data[i] - '0');
		if (value > (UINT64_MAX - digit) / 10)
			is_over = true; /* read on: letters behind it are still a syntax error */
		else
			value = value * 10 + digit;
	}
	if (is_over)
		return ERR_LIMIT;
	*out = value;
	return OK;
}

/* Whole bodies are asked this: the loop of a fixed count becomes a few vector instructions. */
bool str_is_keyword(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!char_is_alnum(s.data[i]) && (s.data[i] != '-' || i == 0))
			return false;
	return s.len > 0;
}

bool str_is_ascii(struct str s)
{
	unsigned char seen = 0;
	size_t at = 0;
	for (; s.len - at >= ASCII_BLOCK_BYTES && seen < 0x80; at += ASCII_BLOCK_BYTES) {
		const char *block = s.data + at;
		for (size_t i = 0; i < ASCII_BLOCK_BYTES; i++)
			seen |= (unsigned char)block[i];
	}
	for (; at < s.len; at++)
		seen |= (unsigned char)s.data[at];
	return seen < 0x80;
}

bool str_is_utf8(struct str s)
{
	size_t at = 0;
	while (at < s.len) {
		size_t len = utf8_sequence_len(str_slice(s, at, s.len));
		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

/* Only the last '*' is ever reconsidered: giving an earlier one more octets cannot help. */
bool str_match_glob(struct str s, struct str pattern)
{
	size_t at = 0, p = 0;
	size_t star = pattern.len; /* the last '*' seen, and where its match ends for now */
	size_t star_end = 0;
	while (at < s.len) {
		if (p < pattern.len && pattern.data[p] == '*') {
			star = p++;
			star_end = at;
		} else if (p < pattern.len &&
			   (pattern.data[p] == '?' || fold(pattern.data[p]) == fold(s.data[at]))) {
			p++;
			at++;
		} else if (star < pattern.len) {
			p = star + 1;
			at = ++star_end;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == '*')
		p++;
	return p == pattern.len;
}

uint64_t str_hash(struct str s, uint64_t seed)
{
	return hash(s, seed, false);
}

uint64_t str_hash_fold(struct str s, uint64_t seed)
{
	return hash(s, seed, true);
}

static char fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * SipHash-1-3 with the seed as both key halves. A multiplicative hash would be shorter, but sets
 * of keys that collide under every seed are known for those.
 */
static uint64_t hash(struct str s, uint64_t seed, bool is_folded)
{
	struct sip sip = { { seed ^ UINT64_C(0x736f6d6570736575),
		~seed ^ UINT64_C(0x646f72616e646f6d), seed ^ UINT64_C(0x6c7967656e657261),
		~seed ^ UINT64_C(0x7465646279746573) } };
	size_t tail = s.len - s.len % 8;
	for (size_t at = 0; at < tail; at += 8) {
		uint64_t word = load_word(s.data + at);
		sip_word(&sip, is_folded ? fold_word(word) : word);
	}
	uint64_t last = load_tail(s, tail);
	sip_word(&sip, (is_folded ? fold_word(last) : last) | (uint64_t)(s.len & 0xff) << 56);
	sip.v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&sip);
	return sip.v[0] ^ sip.v[1] ^ sip.v[2] ^ sip.v[3];
}

/* In this order on every machine; one load where that is its order. */
static inline uint64_t load_word(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
	       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
	       (uint64_t)p[7] << 56;
}

static inline uint64_t load_tail(struct str s, size_t from)
{
	uint64_t word = 0;
	for (size_t at = s.len; at-- > from;)
		word = word << 8 | (unsigned char)s.data[at];
	return word;
}

/* fold of its eight octets at once: bit 7 of each tells of an octet below 128 whether it is as great as the limit. */
static inline uint64_t fold_word(uint64_t word)
{
	const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t low = word & (0x7f * each);
	uint64_t from_a = low + (0x80 - 'A') * each, after_z = low + (0x7f - 'Z') * each;
	uint64_t is_upper = (from_a ^ after_z) & ~word & (0x80 * each);
	return word | is_upper >> 2;
}

static inline void sip_word(struct sip *sip, uint64_t word)
{
	sip->v[3] ^= word;
	sip_round(sip);
	sip->v[0] ^= word;
}

static inline void sip_round(struct sip *sip)
{
	uint64_t *v = sip->v;
	v[0] += v[1];
	v[1] = rotate_left(v[1], 13) ^ v[0];
	v[0] = rotate_left(v[0], 32);
	v[2] += v[3];
	v[3] = rotate_left(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate_left(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate_left(v[1], 17) ^ v[2];
	v[2] = rotate_left(v[2], 32);
}

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return (x << bits) | (x >> (64 - bits));
}
