"""What the dashboard and the static report show: data frames and charts, made of plain records, without a page."""
