"""The same command as analysis.rs, in Python: what a script has to do to be one."""

import csv
import json
import os
import sys
import time

CITIES = "Lagos Lima Oslo Kyoto Porto Turin Quito Perth Busan Accra Lyon Malmo".split()
PRODUCTS = "anchor winch rope block cleat sail lamp chart".split()
COLUMNS = ["city", "product", "quantity", "price", "wait_s"]
BARS = 24


def say(**line):
    """Prints a line for the server, at once."""
    print(json.dumps(line), flush=True)


def write(path, rows, broken):
    seed = 42

    def following():
        nonlocal seed
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        return seed >> 33

    with open(path, "w") as file:
        file.write("order,city,product,quantity,price,wait_s\n")
        for row in range(1, rows + 1):
            a, b = following(), following()
            city = CITIES[min(a % 12, a // 12 % 12)]
            product = PRODUCTS[max(a // 144 % 8, a // 1152 % 8)]
            quantity = 1 + (a // 9216 % 10) * (a // 92160 % 10) // 12
            cents = 199 + (b % 1000) * (b // 1000 % 1000) // 40
            wait = 5 + (b // 1000 % 1000 + b // 2000000 % 1000) // 4
            price = "n/a" if broken and row == rows * 7 // 10 else f"{cents // 100}.{cents % 100:02}"
            file.write(f"{row},{city},{product},{quantity},{price},{wait}\n")
    return os.path.getsize(path)


def look(path, name, rate, tell):
    counts, values = {}, []
    begun = told = time.monotonic()
    read = 0
    with open(path, newline="") as file:
        for row, line in enumerate(csv.DictReader(file), start=2):
            cell = line[name]
            if name in ("city", "product"):
                counts[cell] = counts.get(cell, 0) + 1
            else:
                try:
                    values.append(float(cell))
                except ValueError:
                    sys.exit(f'error: line {row}: "{cell}" is no number in column {name}')
            read += sum(map(len, line.values())) + len(line)
            if row % 4096 == 0:
                if rate:
                    time.sleep(max(0, read / rate / 1e6 - (time.monotonic() - begun)))
                if time.monotonic() - told > 0.05:
                    told = time.monotonic()
                    tell(read)
    if counts:
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        count = sum(counts.values())
        note = f"{len(ranked)} values; {ranked[0][0]} most often, {ranked[0][1] * 100 // count} %"
        return {"name": name, "kind": "text", "count": count, "bars": [n for _, n in ranked], "note": note}
    least, most = min(values), max(values)
    width = (most - least) / BARS
    bars = [0] * BARS
    for value in values:
        bars[min(int((value - least) / width), BARS - 1) if width else 0] += 1
    note = f"{least:.2f} to {most:.2f}, on average {sum(values) / len(values):.2f}"
    return {"name": name, "kind": "number", "count": len(values), "bars": bars, "note": note}


def main():
    given = json.loads(sys.stdin.readline())
    begun = time.monotonic()
    path = os.path.join(os.environ["TMPDIR"], "orders.csv")
    say(progress=0, text="writing the file")
    size = write(path, given["rows"], given["broken"])
    print(f"wrote {size} bytes, {given['rows']} rows", file=sys.stderr)
    for done, name in enumerate(COLUMNS):
        say(text=f"reading {name}")
        total = size * len(COLUMNS)
        column = look(path, name, given["megabytes_per_second"], lambda read: say(progress=[done * size + read, total]))
        print(f"{name}: {column['note']}", file=sys.stderr)
        say(progress=[(done + 1) * size, total], partial=column)
    say(result={"rows": given["rows"], "bytes": size, "seconds": time.monotonic() - begun})


main()
