#include "config.h"
#include "tests/tap.h"

#include "index/codec.h"

#include <stdlib.h>

#include <stdint.h>

static void test_numbers(void)
{
	uint8_t p[8], a[8], b[8];

	codec_put64(p, 0x0102030405060708u);
	ok(p[0] == 8 && p[7] == 1, "values are little-endian");
	ok(codec_get64(p) == 0x0102030405060708u, "and come back");
	codec_put32(p, 0xfffefdfcu);
	ok(p[0] == 0xfc && codec_get32(p) == 0xfffefdfcu, "32 bits too");
	codec_key64(a, 0x00ff);
	codec_key64(b, 0x0100);
	ok(memcmp(a, b, 8) < 0, "keys order as their numbers");
	ok(codec_unkey64(b) == 0x0100, "and come back");
	codec_key32(a, 0xff);
	codec_key32(b, 0xffff);
	ok(memcmp(a, b, 4) < 0 && codec_unkey32(b) == 0xffff, "32 bits too");
}

static void test_crc(void)
{
	uint8_t buf[300], *big;
	bool same = true;

	/* RFC 3720, B.4 */
	is_int(codec_crc(0, "123456789", 9), 0xe3069283, "the check value of CRC-32C");
	memset(buf, 0, 32);
	is_int(codec_crc(0, buf, 32), 0x8a9136aa, "32 zeros");
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 37 + 11);
	for (size_t off = 0; off < 9; off++)
		for (size_t n = 0; n + off <= sizeof(buf); n++)
			same &= codec_crc(7, buf + off, n) == codec_crc_ref(7, buf + off, n);
	ok(same, "fast and slow agree on odd sizes and places");
	big = malloc(20000);
	for (size_t i = 0; big && i < 20000; i++)
		big[i] = (uint8_t)(i * i * 31 + i / 7);
	for (size_t n = 3000; big && n <= 20000 - 8; n += 331)
		same &= codec_crc((uint32_t)n, big + n % 8, n) == codec_crc_ref((uint32_t)n, big + n % 8, n);
	ok(big && same, "and where several strips go side by side");
	free(big);
	is_int(codec_crc(codec_crc(0, buf, 101), buf + 101, 99), codec_crc(0, buf, 200), "it can be continued");
	is_int(codec_crc(0, NULL, 0), 0, "of nothing it is 0");
}

static void test_records(void)
{
	struct buf b = BUF_INIT;
	struct codec_in in;
	const char *s;
	size_t n;
	bool good = true;

	codec_add32(&b, 42);
	codec_add64(&b, 1ull << 40);
	codec_addstr(&b, "abc\0d", 5);
	codec_addstr(&b, "", 0);
	codec_seal(&b, 0);
	ok(codec_open(&in, b.data, b.len), "a record opens");
	is_int(codec_read32(&in), 42, "its fields");
	is_int((long long)codec_read64(&in), 1ll << 40, "come back");
	s = codec_readstr(&in, &n);
	ok(n == 5 && !memcmp(s, "abc\0d", 6), "in order");
	ok(!codec_done(&in), "there is more");
	is_str(codec_readstr(&in, NULL), "", "an empty string");
	ok(codec_done(&in), "and no more");
	is_int(codec_read32(&in), 0, "beyond the end there is nothing");
	ok(!codec_done(&in), "and the reader is bad");
	for (size_t i = 0; i < b.len * 8; i++) {
		b.data[i / 8] ^= (char)(1 << i % 8);
		good &= !codec_open(&in, b.data, b.len);
		b.data[i / 8] ^= (char)(1 << i % 8);
	}
	ok(good, "any bit turned over is seen");
	for (size_t i = 0; i < b.len; i++)
		good &= !codec_open(&in, b.data, i);
	ok(good, "and any byte cut off");

	/* a length that lies, under a good checksum */
	buf_clear(&b);
	codec_add32(&b, 0xffffffffu);
	buf_add(&b, "abcdef", 7);
	codec_seal(&b, 0);
	ok(codec_open(&in, b.data, b.len), "a record with a lying length");
	is_str(codec_readstr(&in, &n), "", "gives no string");
	ok(n == 0 && in.bad, "and is bad");
	buf_clear(&b);
	codec_add32(&b, 2);
	buf_add(&b, "abcdef", 7);
	codec_seal(&b, 0);
	codec_open(&in, b.data, b.len);
	is_str(codec_readstr(&in, &n), "", "nor does one whose NUL is elsewhere");
	buf_release(&b);
}

int main(void)
{
	test_numbers();
	test_crc();
	test_records();
	return tap_done();
}
