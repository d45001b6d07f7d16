"""Five lines of pandas for every section: they recompute its numbers from manifest.parquet, beside the page's own.

Each is run by a test in the folder of a data set and must end with the values that `report.json` holds.
"""

from __future__ import annotations

SNIPPETS = {
    "headline": """\
import pandas as pd
m = pd.read_parquet("manifest.parquet")
result = {"inputs": len(m), "accepted": int((m.status == "ok").sum()), "splits": m.split.value_counts().to_dict()}
result |= {"near_duplicates": int((m.dup_rank > 0).sum()), "label_outliers": int(m.flag_label_outlier.sum())}
""",
    "funnel": """\
import pandas as pd
m = pd.read_parquet("manifest.parquet").astype({"stage": str, "status": str, "reason": str})
lost = m[m.status != "ok"].groupby(["stage", "status", "reason"]).size()
result = {key: int(images) for key, images in lost.items()}
""",
    "checks": """\
from pathlib import Path
from dataprep.report.census import Census
from dataprep.report.checks import CHECKS
c = Census(Path("manifest.parquet"))
result = {k.key: int((k.error(c)[c.ok] > k.tolerance).sum()) for k in CHECKS if c.has(*k.columns)}
""",
    "scores": """\
import json, numpy as np, pandas as pd
m, n = pd.read_parquet("manifest.parquet"), json.load(open("report/report.json"))
q = {h["score"]: (m[h["score"]].dropna(), h["threshold"]) for h in n["histograms"]}
result = {k: {"counts": np.histogram(v, 20, (0, 1))[0].tolist(), "below": int((v < t).sum()),
              "judged": len(v), "median": float(v.median())} for k, (v, t) in q.items()}
""",
    "extremes": """\
import json, pandas as pd
m, n = pd.read_parquet("manifest.parquet").set_index("sample_id"), json.load(open("report/report.json"))
t = pd.Series({h["score"]: h["threshold"] for h in n["histograms"] if h["rejects"]})
room = ((m[t.index] - t) / (1 - t)).min(axis=1)[m.status == "ok"].sort_values(kind="stable")
result = {"weakest": room.head(len(n["weakest"])).tolist(), "strongest": room[::-1].head(len(n["strongest"])).tolist()}
""",
    "coverage": """\
import numpy as np, pandas as pd
m = pd.read_parquet("manifest.parquet").query("status == 'ok'")
head = np.histogram2d(*np.degrees(m[["pitch", "yaw"]].to_numpy().T), [np.arange(-50, 51, 10), np.arange(-90, 91, 10)])
result = {"head": head[0][::-1].astype(int).tolist(), "upsampling": m.upsampling.quantile([0.05, 0.5, 0.95]).tolist()}
result["joints_deg"] = np.percentile(np.degrees(np.stack(m.joints_zyx)), [0, 5, 25, 50, 75, 95, 100], axis=0).T.tolist()
""",
    "prior": """\
import numpy as np, pandas as pd
from dataprep.tables import labels, outliers
m = pd.read_parquet("manifest.parquet").query("split == 'train'")
kept = outliers.drawable_rows({label.name: np.stack(m[label.name]) for label in labels.drawn()})
result = {group.value: int((~rows).sum()) for group, rows in kept.items()}
""",
    "similar": """\
import numpy as np, pandas as pd
from dataprep.duplicates import clusters
m = pd.read_parquet("manifest.parquet").query("selected")
m["found"] = clusters(np.stack([np.frombuffer(h, np.uint8) for h in m.portrait_dhash]), 10)
result = {"leaks": int((m.groupby("found").split.agg(lambda s: len(set(s))) > 1).sum())}
""",
    "people": """\
import pandas as pd
m = pd.read_parquet("manifest.parquet").query("selected")
photographs = m.groupby("person").size()
result = {"people": len(photographs), "repeated": int((photographs > 1).sum()),
          "leaks": int((m.groupby("person").split.agg(lambda s: len(set(s))) > 1).sum())}
""",
    "health": """\
import pandas as pd
m = pd.read_parquet("manifest.parquet")
result = {name: {"null_fraction": float(m[name].isna().mean()),
                 "null_accepted": int(m[name][m.status == "ok"].isna().sum())} for name in m.columns}
""",
}
