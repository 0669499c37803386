#include "config.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/par.h"
#include "model/embed.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Gives a comparison written in another language our embedder's vectors.
 *
 *	embed MODEL THREADS [PRECISION]
 *
 * First the dimension goes to stdout.  A request on stdin is n and n texts,
 * each its length and its bytes; they are one call of embed_texts(), cut where
 * they are too long.  The answer is (n, dim) floats.  All numbers are 32 bits
 * in the machine's order.
 */

static int fail(void)
{
	fprintf(stderr, "embed: %s\n", err_msg());
	return 1;
}

static bool put(const void *p, size_t size, size_t n)
{
	return fwrite(p, size, n, stdout) == n && !fflush(stdout);
}

static bool get_text(struct embed_text *out)
{
	uint32_t len;
	char *s;

	if (fread(&len, sizeof(len), 1, stdin) != 1 || !(s = mem_alloc(len)))
		return false;
	out->s = s;
	out->len = len;
	return fread(s, 1, len, stdin) == len;
}

static int serve(struct embed *e)
{
	uint32_t n;

	while (fread(&n, sizeof(n), 1, stdin) == 1) {
		struct embed_text *texts = mem_calloc(n, sizeof(*texts));
		float *v = mem_calloc(n, embed_dim(e) * sizeof(*v));

		if (!texts || !v)
			return fail();
		for (uint32_t i = 0; i < n; i++)
			if (!get_text(&texts[i]))
				return fail();
		if (embed_texts(v, e, texts, n, 1, NULL, NULL))
			return fail();
		if (!put(v, sizeof(*v), n * embed_dim(e)))
			return 1;
		for (uint32_t i = 0; i < n; i++)
			mem_free((char *)texts[i].s);
		mem_free(texts);
		mem_free(v);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct embed *e;
	enum encoder_precision precision;
	struct par *par;
	uint32_t dim;
	int rc;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: embed MODEL THREADS [PRECISION]\n");
		return 2;
	}
	if (embed_precision_parse(&precision, argv[3]) || par_new(&par, atoi(argv[2])) ||
	    embed_open(&e, argv[1], precision, par))
		return fail();
	dim = (uint32_t)embed_dim(e);
	rc = put(&dim, sizeof(dim), 1) ? serve(e) : 1;
	embed_close(e);
	par_free(par);
	return rc;
}
