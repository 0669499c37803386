#include "config.h"
#include "src/eval/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"

#define MAGIC "RAGVECS1"
#define HEADER_LEN 56

struct kept {
	char *path;
	uint8_t fingerprint[HASH_LEN];
	size_t dim, record;		/* floats a vector, bytes a record */
	struct map map;			/* the former run's file; empty: none */
	size_t n;			/* its records */
	struct buf fresh;		/* records of this run, as they were put */
};

static void put_le(unsigned char *p, uint64_t v, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)(v >> 8 * i);
}

static uint64_t get_le(const unsigned char *p, size_t size)
{
	uint64_t v = 0;

	for (size_t i = size; i-- > 0;)
		v = v << 8 | p[i];
	return v;
}

static void header(unsigned char out[HEADER_LEN], const struct kept *k, size_t n)
{
	memset(out, 0, HEADER_LEN);
	memcpy(out, MAGIC, 8);
	put_le(out + 8, k->dim, 4);
	put_le(out + 16, n, 8);
	memcpy(out + 24, k->fingerprint, HASH_LEN);
}

/* Whether the mapped file is whole and of this embedder; sets n. */
static bool usable(struct kept *k)
{
	unsigned char want[HEADER_LEN];
	uint8_t sum[HASH_LEN];
	const struct map *m = &k->map;
	uint64_t n;

	if (m->len < HEADER_LEN + HASH_LEN)
		return false;
	n = get_le(m->data + 16, 8);
	if (n > m->len / k->record || m->len != HEADER_LEN + n * k->record + HASH_LEN)
		return false;
	header(want, k, (size_t)n);
	if (memcmp(want, m->data, HEADER_LEN))
		return false;
	hash_bytes(sum, m->data, m->len - HASH_LEN);
	if (memcmp(sum, m->data + m->len - HASH_LEN, HASH_LEN))
		return false;
	k->n = (size_t)n;
	return true;
}

int kept_open(struct kept **out, const char *dir, const uint8_t fingerprint[HASH_LEN], size_t dim)
{
	struct kept *k = mem_calloc(1, sizeof(*k));
	char hex[HASH_HEX_LEN];
	struct buf path = BUF_INIT;
	int rc;

	if (!k)
		return RAG_ENOMEM;
	memcpy(k->fingerprint, fingerprint, HASH_LEN);
	k->dim = dim;
	k->record = HASH_LEN + 4 * dim;
	hash_hex(hex, fingerprint);
	hex[16] = 0;
	rc = buf_addf(&path, "%s/eval-%s.vectors", dir, hex);
	if (rc)
		goto fail;
	k->path = buf_detach(&path);
	if (!k->path) {
		rc = RAG_ENOMEM;
		goto fail;
	}
	if (mkdir(dir, 0777) < 0 && errno != EEXIST) {
		rc = err_set(RAG_EIO, "cannot make directory '%s': %s", dir, strerror(errno));
		goto fail;
	}
	rc = map_open(&k->map, k->path);
	if (rc && rc != RAG_ENOENT)
		goto fail;
	if (!rc && !usable(k))
		map_close(&k->map);
	*out = k;
	return RAG_OK;
fail:
	buf_release(&path);
	kept_close(k);
	return rc;
}

void kept_close(struct kept *k)
{
	if (!k)
		return;
	map_close(&k->map);
	buf_release(&k->fresh);
	mem_free(k->path);
	mem_free(k);
}

bool kept_get(float *out, const struct kept *k, const uint8_t hash[HASH_LEN])
{
	size_t lo = 0, hi = k->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const unsigned char *r = k->map.data + HEADER_LEN + mid * k->record;
		int order = memcmp(hash, r, HASH_LEN);

		if (order < 0) {
			hi = mid;
		} else if (order > 0) {
			lo = mid + 1;
		} else {
			for (size_t i = 0; i < k->dim; i++) {
				uint32_t bits = (uint32_t)get_le(r + HASH_LEN + 4 * i, 4);

				memcpy(&out[i], &bits, sizeof(bits));
			}
			return true;
		}
	}
	return false;
}

int kept_put(struct kept *k, const uint8_t hash[HASH_LEN], const float *v)
{
	unsigned char *p;
	int rc = buf_reserve(&k->fresh, k->record);

	if (rc)
		return rc;
	p = (unsigned char *)k->fresh.data + k->fresh.len;
	memcpy(p, hash, HASH_LEN);
	for (size_t i = 0; i < k->dim; i++) {
		uint32_t bits;

		memcpy(&bits, &v[i], sizeof(bits));
		put_le(p + HASH_LEN + 4 * i, bits, 4);
	}
	k->fresh.len += k->record;
	return RAG_OK;
}

static int record_cmp(const void *a, const void *b)
{
	return memcmp(*(unsigned char *const *)a, *(unsigned char *const *)b, HASH_LEN);
}

/* All records, old and new, by hash; of equal ones the first.  The caller frees *out. */
static int merged(const unsigned char ***out, size_t *n_out, const struct kept *k)
{
	size_t n_fresh = k->fresh.len / k->record, n = 0;
	const unsigned char **all = mem_calloc(k->n + n_fresh, sizeof(*all));

	if (!all)
		return RAG_ENOMEM;
	for (size_t i = 0; i < k->n; i++)
		all[i] = k->map.data + HEADER_LEN + i * k->record;
	for (size_t i = 0; i < n_fresh; i++)
		all[k->n + i] = (const unsigned char *)k->fresh.data + i * k->record;
	qsort(all, k->n + n_fresh, sizeof(*all), record_cmp);
	for (size_t i = 0; i < k->n + n_fresh; i++)
		if (!n || record_cmp(&all[n - 1], &all[i]))
			all[n++] = all[i];
	*out = all;
	*n_out = n;
	return RAG_OK;
}

static bool write_all(FILE *f, const struct kept *k, const unsigned char **all, size_t n)
{
	unsigned char head[HEADER_LEN];
	struct hash_state h;
	uint8_t sum[HASH_LEN];

	header(head, k, n);
	hash_begin(&h);
	hash_add(&h, head, sizeof(head));
	if (fwrite(head, 1, sizeof(head), f) != sizeof(head))
		return false;
	for (size_t i = 0; i < n; i++) {
		hash_add(&h, all[i], k->record);
		if (fwrite(all[i], 1, k->record, f) != k->record)
			return false;
	}
	hash_end(sum, &h);
	return fwrite(sum, 1, sizeof(sum), f) == sizeof(sum) && !fflush(f) && !fsync(fileno(f));
}

int kept_save(struct kept *k)
{
	const unsigned char **all = NULL;
	struct buf tmp = BUF_INIT;
	FILE *f = NULL;
	size_t n = 0;
	int fd, rc;

	if (!k->fresh.len)
		return RAG_OK;
	if ((rc = merged(&all, &n, k)) || (rc = buf_addf(&tmp, "%s.XXXXXX", k->path)))
		goto fail;
	fd = mkstemp(tmp.data);
	if (fd < 0 || !(f = fdopen(fd, "wb"))) {
		rc = err_set(RAG_EIO, "cannot write '%s': %s", tmp.data, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else if (!write_all(f, k, all, n) || rename(tmp.data, k->path) < 0) {
		rc = err_set(RAG_EIO, "cannot write '%s': %s", k->path, strerror(errno));
	}
	if (f)
		fclose(f);
	if (rc)
		unlink(tmp.data);
fail:
	mem_free(all);
	buf_release(&tmp);
	return rc;
}
